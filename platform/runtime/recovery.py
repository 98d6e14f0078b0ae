"""Finding and ending what a killed keeper left behind, and the record that makes it possible.

Each child is recorded by pid and start time, so a later process with the same pid is never touched. What the
children started themselves is found by tree and by the generation in its environment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from runtime.children import descendants, identity, is_alive, kill_tree
from runtime.home import Home, read_json, remove_socket_folder, write_record

GENERATION = "ATELIER_GENERATION"
Identity = tuple[int, float]


def record(home: Home, generation: str, processes: dict[str, int]) -> None:
    """Write which processes belong to this generation: name → pid, with their start times."""
    write_record(
        home.processes,
        {
            "generation": generation,
            "processes": {name: list(identity(pid)) for name, pid in processes.items()},
        },
    )


def end_orphans(home: Home, *, patience: float = 4.0) -> int:
    """End every process of an earlier generation and remove its sockets; returns how many there were.

    The caller holds the keeper's lock, so nobody watches them any more.
    """
    known = read_json(home.processes)
    left = orphans(home)
    postgres = known.get("processes", {}).get("postgres", (0, 0.0))[0]
    for pid, _ in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGINT if pid == postgres else signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(is_alive(one) for one in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    kill_tree(left)
    for name in ("database_dir", "broker_dir", "socket_dir"):
        folder = read_json(home.endpoints).get(name)
        if folder:
            remove_socket_folder(Path(folder))
    home.processes.unlink(missing_ok=True)
    home.endpoints.unlink(missing_ok=True)
    return len(left)


def orphans(home: Home) -> set[Identity]:
    """Living processes of the recorded generation: the recorded ones, their trees, and marked ones."""
    known = read_json(home.processes)
    found: set[Identity] = set()
    for pid, started in known.get("processes", {}).values():
        one = (int(pid), float(started))
        if is_alive(one):
            found |= {one} | descendants(one[0])
    generation = known.get("generation")
    if generation:
        found |= marked(str(generation))
    return {one for one in found if one[0] != os.getpid()}


def marked(generation: str) -> set[Identity]:
    """Processes that carry this generation in their environment (Linux; those that may be read)."""
    wanted = f"{GENERATION}={generation}".encode()
    return {identity(pid) for pid in _pids() if wanted in _environment(pid).split(b"\0")}


def _pids() -> Iterable[int]:
    proc = Path("/proc")
    if not proc.is_dir():
        return []
    return [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""  # gone meanwhile, or another user's
