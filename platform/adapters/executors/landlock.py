"""Landlock: a process gives up all files but a few folders, for itself and all its children, without privileges.

Linux 5.13 or later, where the kernel has it switched on; elsewhere nothing happens and the answer says so. From
its sixth version on it also keeps signals and abstract sockets inside. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_VERSION = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_BIND_TCP, _CONNECT_TCP = 1, 2
_PR_SET_NO_NEW_PRIVS = 38
_O_PATH = 0o10000000

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ALL_OF_VERSION_1 = (1 << 13) - 1
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_SCOPES = 0b11  # abstract sockets and signals
#: What makes sense for something that is no folder.
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
READ = EXECUTE | READ_FILE | READ_DIR


def version() -> int:
    """Landlock's version on this machine; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    found = _call(_CREATE, None, 0, _VERSION)
    return max(0, found)


def restrict(*, read: Iterable[str], write: Iterable[str], ports: Iterable[int] | None = None) -> int:
    """Keep this process to these paths: `read` may be read and executed, `write` also changed. Paths that do not
    exist are left out. Open descriptors stay as they are. ports: the only TCP ports that it may connect to, and
    it may listen on none (version 4 on); None = all.

    Returns Landlock's version; 0 where nothing was restricted. Raises OSError when the kernel has Landlock but
    refuses: then the process must not go on.
    """
    number = version()
    if not number:
        return 0
    handled = _ALL_OF_VERSION_1
    handled |= REFER if number >= 2 else 0
    handled |= TRUNCATE if number >= 3 else 0
    handled |= IOCTL_DEV if number >= 5 else 0
    shut = ports is not None and number >= 4
    network = _BIND_TCP | _CONNECT_TCP if shut else 0
    ruleset = struct.pack("=QQQ", handled, network, _SCOPES if number >= 6 else 0)
    size = 24 if number >= 6 else 16 if number >= 4 else 8
    descriptor = _checked(_call(_CREATE, ruleset, size, 0), "create")
    try:
        for paths, access in ((read, READ), (write, handled)):
            for path in paths:
                _add(descriptor, path, access & handled)
        for port in (ports or ()) if shut else ():
            rule = struct.pack("=QQ", _CONNECT_TCP, port)
            _checked(_call(_ADD, descriptor, _NET_PORT, rule, 0), f"allow port {port}")
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _checked(_call(_RESTRICT, descriptor, 0), "restrict")
    finally:
        os.close(descriptor)
    return number


def _add(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, _O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _OF_FILES
        rule = struct.pack("=Qi", access, place)
        _checked(_call(_ADD, ruleset, _PATH_BENEATH, rule, 0), f"add {path}")
    finally:
        os.close(place)


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    given = [
        ctypes.c_void_p(None)
        if a is None
        else ctypes.c_char_p(a)
        if isinstance(a, bytes)
        else ctypes.c_long(a)
        for a in arguments
    ]
    return int(libc.syscall(ctypes.c_long(number), *given))


def _checked(answer: int, what: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock refuses to {what}: {os.strerror(number)}")
    return answer
