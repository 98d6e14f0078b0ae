"""The tree of processes below one, as the kernel tells it: who they are, what they use, and their end."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    return found


def _kernel_lists_children() -> bool:
    return os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, parents first. A snapshot: it may be stale when it is returned."""
    if not sys.platform.startswith("linux") or not _kernel_lists_children():
        import psutil

        with suppress(psutil.Error):
            return [process.pid for process in psutil.Process(pid).children(recursive=True)]
        return []
    found: list[int] = []
    seen = {pid}
    queue = [pid]
    while queue:
        for child in _children(queue.pop()):
            if child not in seen:
                seen.add(child)
                found.append(child)
                queue.append(child)
    return found


def private_memory(pid: int) -> int:
    """Bytes of resident memory that are not file or shared mappings; 0 when the process is gone.

    Readable for undumpable processes, too, unlike smaps. After a fork it still counts the pages that are
    shared with the parent: subtract the parent's own.
    """
    try:
        with open(f"/proc/{pid}/statm") as file:
            fields = file.read().split()
        return max(0, int(fields[1]) - int(fields[2])) * _PAGE
    except (OSError, IndexError, ValueError):
        return _psutil_memory(pid)


def _psutil_memory(pid: int) -> int:
    if sys.platform.startswith("linux"):
        return 0
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def processor_time(pid: int) -> float:
    """User and system seconds of a process with its waited-for children; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return sum(int(fields[index]) for index in (11, 12, 13, 14)) / _TICK
    except (OSError, IndexError, ValueError):
        return 0.0


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_tree(root: int, number: int) -> None:
    """Send a signal to everything below `root`."""
    for pid in descendants(root):
        _signal(pid, number)


def kill_tree(root: int, *, patience: float = 5.0) -> dict[int, int]:
    """SIGKILL everything below this process (`root` is the caller, a subreaper: it collects them all).

    All are stopped first, so that none forks away between the listing and the kill; repeated until nothing
    is left or patience ends. Returns the wait statuses collected on the way.
    """
    deadline = time.monotonic() + patience
    ended: dict[int, int] = {}
    while True:
        living = descendants(root)
        if not living:
            return ended | reap()
        for pid in living:
            _signal(pid, signal.SIGSTOP)
        for pid in {*living, *descendants(root)}:
            _signal(pid, signal.SIGKILL)
        ended |= reap()
        if time.monotonic() > deadline:
            return ended
        time.sleep(0.005)


def reap() -> dict[int, int]:
    """Collect the children that have ended, adopted orphans too. Returns pid -> wait status."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status
