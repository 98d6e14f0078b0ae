"""Watches that no process of a studio opens a connection beyond this machine (Linux; elsewhere it sees nothing)."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

TABLES = ("tcp", "tcp6", "udp", "udp6")
STEP = 0.2  # seconds between two looks; a connection that is refused at once may be missed


def remote_of(line: str) -> tuple[str, int, int] | None:
    """(address, port, inode) of a row of /proc/net/tcp and its like; None without a peer beyond this machine."""
    parts = line.split()
    if len(parts) < 10 or ":" not in parts[2]:
        return None
    raw, _, port = parts[2].partition(":")
    words = [bytes.fromhex(raw[n : n + 8])[::-1] for n in range(0, len(raw), 8)]
    address = ipaddress.ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback or address.is_unspecified:
        return None
    return str(address), int(port, 16), int(parts[9])


def sockets_of(pids: Iterable[int]) -> set[int]:
    """Inodes of the sockets that these processes hold."""
    found: set[int] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(f"/proc/{pid}/fd/{name}")
                    if target.startswith("socket:["):
                        found.add(int(target[8:-1]))
    return found


@dataclass
class Watch:
    """A thread that notes every peer beyond this machine. `pids` names the processes that are meant."""

    pids: Callable[[], Iterable[int]]
    seen: set[str] = field(default_factory=set)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> Watch:
        """Look from now on."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> set[str]:
        """End, and return what was seen: "address:port"."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        return self.seen

    def _run(self) -> None:
        while not self._ended.wait(STEP):
            self.look()

    def look(self) -> None:
        """One look. The processes are asked only when anybody on the machine has such a peer."""
        peers = {}
        for table in TABLES:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                    if (found := remote_of(line)) is not None:
                        peers[found[2]] = f"{found[0]}:{found[1]}"
        if peers:
            self.seen |= {peers[inode] for inode in sockets_of(self.pids()) & peers.keys()}
