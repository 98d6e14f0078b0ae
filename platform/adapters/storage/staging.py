"""Where uploads arrive: received, counted and hashed by the gateway, not yet claimed by anything.

A file lies in HOME/staging under an id of ours (never under the client's filename) and either is claimed by
an action, which moves it into the object store, or is removed. `sweep` removes what a crash left behind.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from adapters.storage.factory import home_folder
from foundation.errors import NoSpace, TooLarge
from foundation.ids import uuid7

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
SUFFIX = ".upload"
FREE_RESERVE_BYTES = 64 * 1024 * 1024
ORPHAN_SECONDS = 6 * 3600.0
MAX_FILENAME = 200
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\]")


@dataclass(frozen=True)
class StagedFile:
    """A completely received file. size in bytes; sha256 of exactly those bytes; filename as the client called
    it (cleaned, for people only: nothing is ever opened by that name)."""

    id: UUID
    path: Path
    filename: str
    size: int
    sha256: str
    project_id: UUID
    user_id: UUID | None

    def discard(self) -> None:
        """Remove the bytes if nobody has claimed (moved) them."""
        self.path.unlink(missing_ok=True)


def staging_folder() -> Path:
    """HOME/staging, made on first use."""
    folder = home_folder() / "staging"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def clean_filename(name: str) -> str:
    """The last path segment of what a client sent, without control characters, at most 200 characters."""
    cleaned = _UNSAFE.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip()
    return cleaned[-MAX_FILENAME:] or "upload"


class StagingWriter:
    """Receives one file: `write` counts and hashes, `finish` makes it durable, `abort` leaves nothing.

    limit: bytes after which TooLarge "upload.too_large" is raised. quota: bytes the whole staging area may
    hold (None: only the disk limits it). A full disk or quota raises NoSpace "storage.full". After any error
    the file is already gone.
    """

    def __init__(self, *, limit: int, quota: int | None = None, folder: Path | None = None) -> None:
        self.id = uuid7()
        self.limit = limit
        self.size = 0
        self._quota = quota
        self._folder = folder or staging_folder()
        self._digest = hashlib.sha256()
        self._path = self._folder / f"{self.id.hex}{SUFFIX}"
        self._others = staged_bytes(self._folder) if quota is not None else 0
        self._file: BinaryIO | None = None

    def reserve(self, expected: int) -> None:
        """Refuse early what cannot fit: `expected` bytes are about to come."""
        if expected > self.limit:
            raise self._too_large()
        free = shutil.disk_usage(self._folder).free
        if expected + FREE_RESERVE_BYTES > free or self._over_quota(expected):
            raise _full()

    def write(self, chunk: bytes) -> None:
        """Append bytes. Blocking: call it in a thread."""
        self.size += len(chunk)
        if self.size > self.limit:
            self.abort()
            raise self._too_large()
        if self._over_quota(self.size):
            self.abort()
            raise _full()
        try:
            if self._file is None:
                self._file = self._path.open("xb", buffering=0)
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self.abort()
            if error.errno in FULL:
                raise _full() from error
            raise
        self._digest.update(chunk)

    def finish(self, *, filename: str, project_id: UUID, user_id: UUID | None) -> StagedFile:
        """The received file, durable on disk. An upload of zero bytes is a file too."""
        try:
            if self._file is None:
                self._file = self._path.open("xb", buffering=0)
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            self.abort()
            if error.errno in FULL:
                raise _full() from error
            raise
        return StagedFile(
            id=self.id,
            path=self._path,
            filename=clean_filename(filename),
            size=self.size,
            sha256=self._digest.hexdigest(),
            project_id=project_id,
            user_id=user_id,
        )

    def abort(self) -> None:
        """Drop everything received so far."""
        if self._file is not None and not self._file.closed:
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _over_quota(self, size: int) -> bool:
        return self._quota is not None and self._others + size > self._quota

    def _too_large(self) -> TooLarge:
        return TooLarge(
            "upload.too_large",
            f"The file is larger than the {self.limit:,} bytes allowed for one upload.",
            {"limit": self.limit},
        )


class StagingArea:
    """The staging area as the gateway is given it."""

    def open(self, *, limit: int, quota: int | None = None) -> StagingWriter:
        """A writer for one file."""
        return StagingWriter(limit=limit, quota=quota)

    def sweep(self) -> int:
        """Remove what requests of a dead process left behind; returns how many files."""
        return sweep()


def stage(
    chunks: Iterable[bytes],
    *,
    filename: str,
    project_id: UUID,
    user_id: UUID | None,
    limit: int,
    quota: int | None = None,
) -> StagedFile:
    """Receive a whole file from an iterable of bytes (a command, a test, a worker; the gateway streams itself)."""
    writer = StagingWriter(limit=limit, quota=quota)
    try:
        for chunk in chunks:
            writer.write(chunk)
        return writer.finish(filename=filename, project_id=project_id, user_id=user_id)
    except BaseException:
        writer.abort()
        raise


def staged_bytes(folder: Path) -> int:
    """How many bytes lie in the staging area now."""
    total = 0
    for entry in os.scandir(folder):
        if entry.name.endswith(SUFFIX):
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                continue
    return total


def sweep(*, older_than: float = ORPHAN_SECONDS, folder: Path | None = None) -> int:
    """Remove staged files untouched for `older_than` seconds: their request died. Returns how many."""
    removed = 0
    horizon = time.time() - older_than
    for entry in os.scandir(folder or staging_folder()):
        try:
            if entry.name.endswith(SUFFIX) and entry.stat().st_mtime < horizon:
                os.unlink(entry.path)
                removed += 1
        except FileNotFoundError:
            continue
    return removed


def _full() -> NoSpace:
    return NoSpace(
        "storage.full", "The studio's disk is full, so the file was not kept; free some space and try again."
    )
