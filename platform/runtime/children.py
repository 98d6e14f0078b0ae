"""One child process: how it is started, and how it is ended together with everything it started.

Children get their own session, standard input from /dev/null, their output appended to a log file, and on
Linux a signal from the kernel when the keeper dies. That signal belongs to the *thread* that forked, so
children are started from the keeper's main thread only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Command:
    """What to run. `stdin` may hold secrets: it is piped, never written to a file or a command line."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path = Path("/")
    uid: int | None = None
    gid: int | None = None
    stdin: bytes = field(default=b"", repr=False)
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0


def spawn(command: Command, log: Path | None, *, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    """Start `command`; its output goes to the end of `log`, or to ours. Call it from the main thread."""
    if log is None:
        handle = os.dup(sys.stdout.fileno())
    else:
        handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    account: dict[str, object] = {}
    if command.uid is not None:
        account = {"user": command.uid, "group": command.gid, "extra_groups": []}
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            command.argv,
            stdin=subprocess.PIPE if command.stdin else subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            env=dict(command.env),
            cwd=command.cwd,
            umask=0o077,
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=die_with_parent(command.stop_signal),
            **account,
        )
    finally:
        os.close(handle)
    if command.stdin and process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):  # it died at once; poll() tells
            process.stdin.write(command.stdin)
            process.stdin.close()
    return process


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """A function for preexec_fn that asks the kernel for `number` when the parent thread dies (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before the request was made
            os._exit(1)

    return ask


def stop(process: subprocess.Popen[bytes], command: Command) -> None:
    """End a child: its own signal, its grace, then SIGKILL for the whole tree. Returns when all are gone."""
    tree = descendants(process.pid)  # before it ends: afterwards they belong to nobody
    begin_stop(process, command)
    deadline = time.monotonic() + command.grace
    while process.poll() is None and time.monotonic() < deadline:
        tree |= descendants(process.pid)
        time.sleep(0.02)
    kill_tree(tree | {identity(process.pid)})
    process.wait()


def begin_stop(process: subprocess.Popen[bytes], command: Command) -> None:
    """Send the child its stop signal without waiting."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(command.stop_signal)


def identity(pid: int) -> tuple[int, float]:
    """(pid, start time in seconds since the epoch): tells a process from a later one with the same pid.

    A process that is gone has start time 0.
    """
    import psutil

    try:
        return pid, psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return pid, 0.0


def descendants(pid: int) -> set[tuple[int, float]]:
    """Identities of all living descendants of `pid`."""
    import psutil

    found: set[tuple[int, float]] = set()
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return found
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.add((child.pid, child.create_time()))
    return found


def is_alive(one: tuple[int, float]) -> bool:
    """Whether exactly this process still runs (a zombie does not)."""
    import psutil

    pid, started = one
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 1.5
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill_tree(identities: set[tuple[int, float]], *, patience: float = 5.0) -> None:
    """SIGKILL the processes and whatever they have started meanwhile; wait until they are gone."""
    import psutil

    pending = set(identities)
    for one in identities:
        pending |= descendants(one[0]) if is_alive(one) else set()
    for one in pending:
        if is_alive(one):
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(one[0]).kill()
    deadline = time.monotonic() + patience
    while any(is_alive(one) for one in pending) and time.monotonic() < deadline:
        time.sleep(0.01)
