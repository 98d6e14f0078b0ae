"""The folders of this host: HOME/environments/<digest>, made once, never changed, removed when nobody needs them.

A folder is published by one rename, so it is whole or absent. Builders and the removal of one digest wait for one
another with a lock on a file, since several processes of a host share the folders.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.db.models.functions import Now

from apps.environments.models import EnvironmentFolder

logger = logging.getLogger(__name__)
PYTHON = Path("bin") / "python"
_LOCKS = ".locks"
_WASTE = ".waste-"


def root() -> Path:
    """Where the environments of this home lie; made when missing. Others may pass through, not look around."""
    from runtime.config import load

    folder = Path(load().home) / "environments"
    folder.mkdir(mode=0o711, exist_ok=True)
    return folder


def host_name() -> str:
    """How this host is called in the rows."""
    return socket.gethostname()[:120]


def folder_of(digest: str) -> Path:
    """The place of a digest. Raises ValueError for something that is none."""
    if len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
        raise ValueError("no digest of an environment")
    return root() / digest


def is_here(digest: str) -> bool:
    """Whether this host has the packages."""
    return (folder_of(digest) / PYTHON).exists()


@contextlib.contextmanager
def alone(digest: str) -> Iterator[None]:
    """Nobody else on this host builds, publishes or removes this digest meanwhile."""
    locks = root() / _LOCKS
    locks.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(locks / digest, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def publish(digest: str, made: Path) -> Path:
    """Move a built environment into its place, under `alone`. One that is there already stays."""
    place = folder_of(digest)
    if is_here(digest):
        shutil.rmtree(made, ignore_errors=True)
        return place
    shutil.rmtree(place, ignore_errors=True)  # half of one, from before a crash
    _take_over(made)
    partial = root() / f"{_WASTE}{uuid.uuid4().hex}"
    shutil.move(made, partial)  # a rename, or a copy from another file system
    os.chmod(partial, 0o755)  # noqa: S103  (packages, no secrets: jobs with accounts of their own read them)
    os.rename(partial, place)
    return place


def _take_over(folder: Path) -> None:
    """What a builder with an account of its own made belongs to the studio from now on; no link is followed."""
    me, group = os.geteuid(), os.getegid()
    if me != 0 or folder.lstat().st_uid == me:
        return
    for _, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, me, group, dir_fd=descriptor, follow_symlinks=False)
    os.chown(folder, me, group, follow_symlinks=False)


def record(digest: str, size: int) -> None:
    """Note that this host has it, and that it was just used."""
    EnvironmentFolder.objects.update_or_create(
        digest=digest,
        host=host_name(),
        path=str(folder_of(digest)),
        defaults={"size": size, "used_at": Now()},
        create_defaults={"size": size, "built_at": Now(), "used_at": Now()},
    )


def touch(digest: str) -> None:
    """Note a use."""
    EnvironmentFolder.objects.filter(digest=digest, host=host_name(), path=str(folder_of(digest))).update(
        used_at=Now()
    )


def remove(digest: str) -> None:
    """Remove a folder of this host, under `alone`: out of sight first, so that nobody finds half of it."""
    place = folder_of(digest)
    EnvironmentFolder.objects.filter(digest=digest, host=host_name(), path=str(place)).delete()
    waste = root() / f"{_WASTE}{uuid.uuid4().hex}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(place, waste)
    shutil.rmtree(waste, ignore_errors=True)


def digests_here() -> list[str]:
    """The digests that have a folder on this host."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(entry.name for entry in root().iterdir() if len(entry.name) == 64)
    return []


def sweep_waste(older: float = 3600.0) -> None:
    """Remove what a process that died left behind."""
    for entry in root().glob(f"{_WASTE}*"):
        with contextlib.suppress(OSError):
            if time.time() - entry.lstat().st_mtime > older:
                shutil.rmtree(entry, ignore_errors=True)
