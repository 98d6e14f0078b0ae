"""The files that a job may see: what of the machine a Python program needs, its inputs, and its own folders.

`visible()` names them, for Landlock and for the private view; `build_view()` makes a new root in which nothing
else exists. Standard library only.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from adapters.executors import namespaces
from adapters.executors.namespaces import NO_DEVICES, NO_SETUID, READ_ONLY

SOURCE_ROOT = Path(__file__).resolve().parents[3]
#: Without /opt, /srv, /home and the like, where a studio may keep its data.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
#: Of /etc only what programs look up, none of what services keep there.
SETTINGS = tuple(
    f"/etc/{name}"
    for name in (
        "alternatives", "ca-certificates", "ca-certificates.conf", "debian_version", "fonts", "gai.conf",
        "host.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "magic",
        "mime.types", "nsswitch.conf", "os-release", "pki/ca-trust", "pki/tls/certs", "pki/tls/cert.pem",
        "protocols", "services", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "timezone",
    )
)  # fmt: skip
#: Names that a private view writes for itself.
ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/hosts")
RESOLVING = ("/etc/resolv.conf", "/run/systemd/resolve", "/run/resolvconf")
KERNEL = ("/sys/devices/system/cpu", "/sys/devices/system/node", "/var/cache/fontconfig")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SHARED_MEMORY = "/dev/shm"  # noqa: S108
#: Processors for calculations; a job that was given none does not mind them.
CALCULATORS = ("nvidia", "dri", "kfd")
TEMPORARY = "/tmp"  # noqa: S108
SHARED_MEMORY_BYTES = 2 * 1024**3
_OLD = "/.old"


@dataclass(frozen=True)
class Visible:
    """What a job may see. system: of the machine; own: of the studio and the job, perhaps private to the account
    that runs the studio; write: folders that it may change."""

    system: tuple[str, ...]
    own: tuple[str, ...]
    write: tuple[str, ...]
    devices: tuple[str, ...] = field(default=DEVICES)


def python_paths() -> set[str]:
    """The interpreter and its packages."""
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.realpath(sys.executable))}
    found |= set(sys.path)
    found |= set(os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    found |= {os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    roots = {"/", str(SOURCE_ROOT), str(SOURCE_ROOT / "platform")}
    return {path for path in found if os.path.isabs(path) and path not in roots}


def environment_of(interpreter: str) -> set[str]:
    """What another environment's Python needs: its own folder, and the Python that it was made from."""
    if not interpreter:
        return set()
    found = {str(Path(interpreter).parent.parent)}
    original = Path(os.path.realpath(interpreter)).parent.parent
    return found | ({str(original)} if str(original) != "/" else set())


def sources() -> set[str]:
    """The studio's own modules, whose folder may hold its home as well."""
    return {str(SOURCE_ROOT / "apps"), str(SOURCE_ROOT / "platform")}


def visible(
    *, own: Iterable[str], write: Iterable[str], interpreter: str = "", internet: bool = False
) -> Visible:
    """What a job with these inputs (`own`) and folders (`write`) may see."""
    system = {*SYSTEM, *SETTINGS, *KERNEL, *(RESOLVING if internet else ())}
    theirs = {*python_paths(), *environment_of(interpreter), *sources(), *own}
    return Visible(
        tuple(sorted(path for path in system if os.path.exists(path))),
        tuple(sorted(path for path in theirs if os.path.exists(path))),
        tuple(sorted(set(write))),
        (*DEVICES, *_calculators()),
    )


def _calculators() -> list[str]:
    try:
        names = os.listdir("/dev")
    except OSError:
        return []
    return sorted(f"/dev/{name}" for name in names if name.startswith(CALCULATORS))


@dataclass(frozen=True)
class _Mount:
    target: str
    source: str
    read_only: bool = True
    translated: bool = False


def build_view(
    seen: Visible,
    *,
    folder: Path,
    ids: int | None,
    account: int | None,
    hosts: str,
    shared_memory: int,
    process_options: str,
) -> None:
    """Replace the root of this process by one that holds only what is seen. The process must be in a mount
    namespace of its own.

    folder: of the attempt; its tmp/ is also /tmp. ids: a user namespace that lets the account read the studio's
    private files; account: whose job it is, None = ours. Raises OSError.
    """
    base = str(folder / "tmp")
    mounts = _plan(seen, base)
    os.umask(0o022)
    namespaces.keep_mounts_private()
    namespaces.mount("tmpfs", base, "mode=0755,size=16m")
    os.mkdir(base + _OLD, 0o700)
    namespaces.change_root(base, base + _OLD)
    os.chdir("/")
    for number, one in enumerate(mounts):
        _attach(one, ids=ids, account=account, spare=Path(_OLD + str(folder)) / f"copy-{number}")
    os.makedirs("/proc", exist_ok=True)
    namespaces.mount("proc", "/proc", process_options, executable=False)
    _devices(seen.devices, shared_memory)
    _settings(account, hosts, folder)
    namespaces.detach(_OLD)
    os.rmdir(_OLD)
    namespaces.seal("/")


def _plan(seen: Visible, base: str) -> list[_Mount]:
    """The mounts, a folder before what lies below it, nothing twice."""
    wanted: dict[str, _Mount] = {TEMPORARY: _Mount(TEMPORARY, base, read_only=False)}
    for path in seen.system:
        wanted[path] = _Mount(path, os.path.realpath(path))
    for path in seen.own:
        wanted.setdefault(path, _Mount(path, os.path.realpath(path), translated=True))
    for path in seen.write:
        wanted[path] = _Mount(path, os.path.realpath(path), read_only=False)
    kept: dict[str, _Mount] = {}
    for path in sorted(wanted, key=lambda name: (name.count("/"), name)):
        one = wanted[path]
        above = next((kept[str(p)] for p in Path(path).parents if str(p) in kept), None)
        covered = (
            above is not None and one.read_only and above.read_only
            and above.source + path[len(above.target):] == one.source
        )  # fmt: skip
        if not covered:
            kept[path] = one
    return list(kept.values())


def _attach(one: _Mount, *, ids: int | None, account: int | None, spare: Path) -> None:
    source = _OLD + one.source
    if one.target.count("/") == 1 and one.source != one.target and not one.translated and one.read_only:
        os.symlink(one.source.lstrip("/"), one.target)  # /bin -> usr/bin
        return
    _make_place(one.target, is_folder=stat.S_ISDIR(os.stat(source).st_mode))
    attributes = NO_SETUID | NO_DEVICES | (READ_ONLY if one.read_only else 0)
    if ids is None or not one.translated:
        namespaces.clone_mount(source, one.target, attributes=attributes)
        return
    try:
        namespaces.clone_mount(source, one.target, attributes=attributes, ids=ids)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
            raise
        # The file system cannot translate owners: a private file is copied, anything else shown as it is.
        found = os.stat(source)
        if stat.S_ISREG(found.st_mode) and not found.st_mode & 0o004 and account is not None:
            _copy(source, spare, account)
            source = str(spare)
        namespaces.clone_mount(source, one.target, attributes=attributes)


def _copy(source: str, target: Path, account: int) -> None:
    with open(source, "rb") as reading, open(target, "xb") as writing:
        os.fchmod(writing.fileno(), 0o400)
        shutil.copyfileobj(reading, writing, 4 << 20)
        os.fchown(writing.fileno(), account, account)


def _make_place(target: str, *, is_folder: bool) -> None:
    if os.path.lexists(target):
        return
    if is_folder:
        os.makedirs(target, mode=0o755, exist_ok=True)
        return
    os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))


def _devices(names: Iterable[str], shared_memory: int) -> None:
    os.makedirs("/dev", exist_ok=True)
    for path in names:
        source = _OLD + path
        _make_place(path, is_folder=os.path.isdir(source))
        namespaces.clone_mount(source, path, attributes=NO_SETUID)
    for name, target in (
        ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):  # fmt: skip
        os.symlink(target, f"/dev/{name}")
    os.makedirs(SHARED_MEMORY, exist_ok=True)
    namespaces.mount("tmpfs", SHARED_MEMORY, f"mode=1777,size={shared_memory}")


def _settings(account: int | None, hosts: str, folder: Path) -> None:
    user, group = (os.getuid(), os.getgid()) if account is None else (account, account)
    content = {
        "/etc/passwd": f"job:x:{user}:{group}:job:{folder / 'home'}:/bin/sh\n",
        "/etc/group": f"job:x:{group}:\n",
        "/etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n{hosts}",
    }
    os.makedirs("/etc", exist_ok=True)
    for path, text in content.items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)
