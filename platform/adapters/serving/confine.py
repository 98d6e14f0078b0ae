"""What a model process gives up before it reads a model: isolation tier 0 for long-lived children.

Model files are untrusted code. The starter gives the process a scrubbed environment, its own session and a
private folder; this module does what only the process itself can do.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

FILE_BYTES = 1024**3
"""No file that a model process writes, its log included, grows beyond this."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def confine(*, memory_bytes: int | None, parent: int | None) -> None:
    """umask 077, no core files, no endless files, no new privileges, not dumpable, bounded memory, and an end with the parent.

    memory_bytes: limit of the address space (RLIMIT_AS); parent: the pid that started us: when it is gone,
    now or later, this process ends.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if parent is not None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the process that started this model host is gone")
