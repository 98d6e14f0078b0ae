"""Large pages for the warm parent: a fork copies one entry for 2 MB instead of 512 for as many small pages.

Copying page tables is a third of what a warm start costs, and each start forks three times. Only what the kernel does
by itself where it can is asked for here, once, when all imports are done. Linux 6.1 or later; elsewhere nothing
happens.
"""

from __future__ import annotations

import ctypes
import re
import sys
import time

SIZE = 2 << 20
#: madvise: "put these pages together now", whatever the system's setting says.
_COLLAPSE = 25
_REGION = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ 00:00 0\s*(\[heap\])?$")


def gather_pages(seconds: float = 5.0) -> int:
    """Put this process's own memory into large pages, for so many seconds at most. Returns bytes; 0 where the kernel
    cannot."""
    if not sys.platform.startswith("linux"):
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    deadline = time.monotonic() + seconds
    done = refused = 0
    for start, end in _regions():
        for at in range((start + SIZE - 1) // SIZE * SIZE, end // SIZE * SIZE, SIZE):
            if libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(SIZE), _COLLAPSE) == 0:
                done += SIZE
            else:
                refused += 1
            if time.monotonic() > deadline or (not done and refused > 8):
                return done
    return done


def _regions() -> list[tuple[int, int]]:
    """Addresses of private memory without a file behind it."""
    found = []
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
        for line in file:
            region = _REGION.match(line.rstrip())
            if region:
                found.append((int(region[1], 16), int(region[2], 16)))
    return found
