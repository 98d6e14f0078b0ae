"""Isolation tier 0 of a child: what it gives up before the first line of somebody else's code (isolation.py has
the tiers above).

Linux does all of it; elsewhere the parts that exist are applied (new session, umask, resource limits).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from dataclasses import dataclass

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
OPEN_FILES = 4096
CAPABILITY_VERSION_3 = 0x20080522

# Names that would change the loader or the interpreter of the child's own children.
_REFUSED_PREFIXES = ("LD_", "DYLD_", "PYTHON", "GCONV_", "MALLOC_", "GLIBC_", "BASH_FUNC_")
_REFUSED = frozenset(
    {"PATH", "HOME", "TMPDIR", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "NODE_OPTIONS", "PERL5OPT"}
)


@dataclass(frozen=True)
class Limits:
    """Limits of one child; None = none. Bytes and seconds."""

    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    wall_seconds: int | None = None
    disk_bytes: int | None = None
    stdout_bytes: int | None = None
    processes: int = 512


def refused_environment(names: object) -> list[str]:
    """Those of the given variable names that a plan must not set."""
    found = [str(name) for name in names] if isinstance(names, dict | list | set | tuple) else []
    return sorted(
        name
        for name in found
        if name in _REFUSED or name.startswith(_REFUSED_PREFIXES) or "=" in name or "\x00" in name or not name
    )


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.prctl(option, value, 0, 0, 0)) == 0


def become_subreaper() -> bool:
    """Orphans below this process become its own children, wherever they hide (setsid, double fork)."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def set_dumpable(allowed: bool) -> bool:
    """Let other processes of the same user have this one's memory, environment and descriptors, or not."""
    return _prctl(PR_SET_DUMPABLE, int(allowed))


def hide_process() -> bool:
    """Deny other processes of the same user this one's memory, environment and descriptors (/proc, ptrace)."""
    return set_dumpable(False)


def drop_capabilities() -> None:
    """Where the studio runs as root: keep the account, give up its powers, for good and also beyond an exec."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(64):
        libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    libc.capset(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), bytes(24))


def die_with_parent(parent: int) -> None:
    """SIGKILL for this process when its parent goes. The parent must be single-threaded: the signal is
    tied to the parent's thread. Ends the process at once when the parent has already gone."""
    # 0: it is outside our process namespace, whose first process ends us when it goes.
    if _prctl(PR_SET_PDEATHSIG, signal.SIGKILL) and os.getppid() not in (parent, 0):
        os._exit(137)


def _limit(kind: int, soft: int, hard: int) -> None:
    _, ceiling = resource.getrlimit(kind)
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(kind, (soft, hard))


def confine(limits: Limits, *, parent: int) -> None:
    """Give up what a tier-0 child does not need. Called in the child right after fork, when it has the account
    under which it stays: a change of account takes the signal of the parent's death away.

    Memory is left to the watchdog: RLIMIT_AS counts the address space, which says little with large
    libraries mapped.
    """
    if os.getsid(0) != os.getpid():
        os.setsid()
    os.umask(0o077)
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES)
    if limits.cpu_seconds is not None:
        _limit(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 5)
    if limits.disk_bytes is not None:
        _limit(resource.RLIMIT_FSIZE, limits.disk_bytes, limits.disk_bytes)
    drop_capabilities()
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    hide_process()
    die_with_parent(parent)
