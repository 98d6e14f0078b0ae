"""Raw calls of the Linux kernel for namespaces and mounts. Standard library only; every refusal is an OSError
that says which step failed."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import socket
import struct

NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NETWORK = (
    0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 1 << 14, 1 << 18
_MNT_DETACH = 2
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # the same numbers on every architecture
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
_AT_FDCWD, _AT_RECURSIVE, _AT_EMPTY_PATH = -100, 0x8000, 0x1000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
READ_ONLY, NO_SETUID, NO_DEVICES, MAP_IDS = 0x1, 0x2, 0x4, 0x100000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(answer: int, what: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer


def unshare(flags: int, what: str) -> None:
    """Leave the namespaces named by the flags for new ones (of processes: for the children)."""
    _checked(_libc.unshare(ctypes.c_int(flags)), what)


def map_own_account(user: int, group: int) -> None:
    """Inside a new user namespace: this account stays what it is outside, and nobody else exists."""
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(content)


def map_files_of(pid: int, *, owner: int, group: int, to: int) -> int:
    """Make the user namespace of `pid` translate files of this owner to the account `to`. Returns a descriptor
    of the namespace, for clone_mount()."""
    for name, own in (("uid_map", owner), ("gid_map", group)):
        with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
            file.write(f"{own} {to} 1")
    return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def mount(kind: str, target: str, options: str = "", *, executable: bool = True) -> None:
    """Mount a new file system of the kernel (tmpfs, proc)."""
    flags = _MS_NOSUID | _MS_NODEV | (0 if executable else _MS_NOEXEC)
    answer = _libc.mount(
        kind.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode() or None
    )
    _checked(answer, f"mount {kind} at {target}")


def keep_mounts_private() -> None:
    """What this process mounts is seen by nobody outside its namespace."""
    _checked(
        _libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "make mounts private"
    )


def clone_mount(source: str, target: str, *, attributes: int, ids: int | None = None) -> None:
    """Show the file or folder `source` also at `target`. ids: a user namespace that translates owners."""
    recursive = 0 if ids is not None else _AT_RECURSIVE
    tree = _checked(
        _libc.syscall(
            ctypes.c_long(_OPEN_TREE),
            ctypes.c_int(_AT_FDCWD),
            ctypes.c_char_p(os.fsencode(source)),
            ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC | recursive),
        ),
        f"open the tree {source}",
    )
    try:
        _set_attributes(tree, attributes | (MAP_IDS if ids is not None else 0), ids or 0, recursive, source)
        _checked(
            _libc.syscall(
                ctypes.c_long(_MOVE_MOUNT),
                ctypes.c_int(tree),
                ctypes.c_char_p(b""),
                ctypes.c_int(_AT_FDCWD),
                ctypes.c_char_p(os.fsencode(target)),
                ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
            ),
            f"attach {source} at {target}",
        )
    finally:
        os.close(tree)


def seal(folder: str) -> None:
    """Make one mount read-only."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _set_attributes(descriptor, READ_ONLY, 0, 0, folder)
    finally:
        os.close(descriptor)


def _set_attributes(tree: int, attributes: int, ids: int, flags: int, what: str) -> None:
    wanted = struct.pack("=QQQQ", attributes, 0, 0, ids)
    _checked(
        _libc.syscall(
            ctypes.c_long(_MOUNT_SETATTR),
            ctypes.c_int(tree),
            ctypes.c_char_p(b""),
            ctypes.c_uint(_AT_EMPTY_PATH | flags),
            ctypes.c_char_p(wanted),
            ctypes.c_size_t(len(wanted)),
        ),
        f"set the attributes of {what}",
    )


def change_root(new: str, old: str) -> None:
    """Make the mount `new` the root; what was the root is seen at `old`, a folder below `new`."""
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"the number of pivot_root on {platform.machine()} is not known")
    _checked(
        _libc.syscall(
            ctypes.c_long(number), ctypes.c_char_p(os.fsencode(new)), ctypes.c_char_p(os.fsencode(old))
        ),
        "change the root",
    )


def detach(folder: str) -> None:
    """Take a mount away, with all below it, also while it is in use."""
    _checked(_libc.umount2(os.fsencode(folder), ctypes.c_int(_MNT_DETACH)), f"detach {folder}")


def start_loopback(address: str = "") -> None:
    """Bring up the only interface of a new network namespace, with one more address on demand."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        up = struct.pack("16sH14x", b"lo", 1)
        fcntl.ioctl(sock, 0x8914, up)  # SIOCSIFFLAGS
        if ":" in address and address != "::1":
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
                told = struct.pack("16sIi", socket.inet_pton(socket.AF_INET6, address), 128, 1)
                fcntl.ioctl(six, 0x8916, told)  # SIOCSIFADDR; 1 is the loopback's number
        elif address and not address.startswith("127.") and ":" not in address:
            told = struct.pack("16sHH4s8x", b"lo:0", socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(sock, 0x8916, told)  # SIOCSIFADDR
