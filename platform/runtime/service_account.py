"""The account under which the embedded servers run when the studio is started as root.

PostgreSQL refuses to run as root. A numeric uid without an entry in passwd does for the server itself; the
uid is taken from the range that systemd keeps for dynamic users, by the digest of HOME, so that two studios
do not share one. Its files lie below /var/lib/atelier, which root owns, so no home folder is opened to it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import RuntimeFault
from runtime.home import Home

BASE = Path("/var/lib/atelier")
FIRST_UID, LAST_UID = 61184, 65519  # systemd's DynamicUser range


@dataclass(frozen=True)
class ServiceAccount:
    """A uid, its gid, and the folder below which its data lie."""

    uid: int
    gid: int
    folder: Path


def service_account(home: Home, *, label: str = "") -> ServiceAccount | None:
    """The account for this home when running as root, else None. Makes the folder and the pointers.

    `label` is put before the folder's name; the test suite marks its throw-away clusters so.
    """
    if os.geteuid() != 0:
        return None
    folder = BASE / f"{label}{home.digest}"
    try:
        BASE.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder.mkdir(mode=0o711, exist_ok=True)
    except OSError as error:
        raise RuntimeFault(
            f"The folder {folder} for the embedded database cannot be made ({error.strerror}): "
            "start the studio as an ordinary user, or name an external database in ATELIER_DATABASE_URL."
        ) from error
    (folder / "home").write_text(f"{home.path}\n", encoding="utf-8")
    (home.path / "data-location").write_text(f"{folder}\n", encoding="utf-8")
    uid = _free_uid(int(home.digest[:8], 16))
    return ServiceAccount(uid=uid, gid=uid, folder=folder)


def _free_uid(seed: int) -> int:
    span = LAST_UID - FIRST_UID + 1
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    for step in range(span):
        uid = FIRST_UID + (seed + step) % span
        if uid not in taken:
            return uid
    raise RuntimeFault(
        "Every service uid from 61184 to 65519 is taken: start the studio as an ordinary user."
    )


def reachable_by_others(path: Path) -> bool:
    """Whether an account without rights of its own can enter `path` (a folder) or run it (a file)."""
    resolved = path.resolve()
    mode = resolved.stat().st_mode
    if not mode & stat.S_IXOTH or not mode & stat.S_IROTH:
        return False
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in resolved.parents)


def copy_of_programs(name: str, sources: list[Path], *, ignore: tuple[str, ...] = ()) -> Path:
    """Copies of program folders or files side by side below /var/lib/atelier/programs/NAME, made once.

    Needed when the environment lies below a closed home folder. Relative places are kept, because the
    programs find their libraries by them (RPATH).
    """
    target = BASE / "programs" / name
    if target.is_dir():
        return target
    target.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    partial = target.with_name(f"{name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o755)
    for source in sources:
        if source.is_dir():
            shutil.copytree(
                source, partial / source.name, symlinks=True, ignore=shutil.ignore_patterns(*ignore)
            )
        else:
            shutil.copy2(source, partial / source.name)
    _open_for_reading(partial)
    try:
        partial.rename(target)
    except OSError:
        # Another start made the same copy first; theirs is as good.
        shutil.rmtree(partial, ignore_errors=True)
        if not target.is_dir():
            raise
    return target


def _open_for_reading(top: Path) -> None:
    for folder, _, files in os.walk(top):
        os.chmod(folder, 0o755)  # noqa: S103  (public programs, for another account)
        for file in files:
            path = Path(folder, file)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
