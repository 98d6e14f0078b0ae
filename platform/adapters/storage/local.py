"""The default store: a folder on this machine (or on a file system that all machines share)."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from adapters.storage.keys import TEMPORARY_PREFIX, check_key
from adapters.storage.sources import open_regular
from foundation.errors import Invalid, NoSpace, NotFound, Unavailable

COPY_CHUNK = 4 * 1024 * 1024
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class LocalStore:
    """Files below one root. A write goes to a hidden name beside its target, is fsynced and renamed, and the
    folder is fsynced too, so that a key either has all its bytes after a crash or none."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).resolve()
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, local_path: Path, key: str, *, move: bool = False) -> int:
        target = self._path(key)
        source = Path(local_path)
        with _translated(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_regular(source) as checked:
                size = os.fstat(checked.fileno()).st_size
            if move and _same_file_system(source, target.parent):
                _sync_file(source)
                os.replace(source, target)
            else:
                with open_regular(source) as reading:
                    self._write(target, reading)
                if move:
                    source.unlink()
            _sync_folder(target.parent)
        return size

    def put_bytes(self, data: bytes, key: str) -> int:
        import io

        target = self._path(key)
        with _translated(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._write(target, io.BytesIO(data))
            _sync_folder(target.parent)
        return len(data)

    def get(self, key: str, local_path: Path) -> int:
        target = Path(local_path)
        with self.open(key) as reading, _translated(key):
            self._write(target, reading)
        return target.stat().st_size

    def local(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise _missing(key)
        return path

    def open(self, key: str) -> BinaryIO:
        with _translated(key):
            return self._path(key).open("rb")

    def delete(self, key: str) -> bool:
        path = self._path(key)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        self._prune(path.parent)
        return True

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def size(self, key: str) -> int:
        with _translated(key):
            return self._path(key).stat().st_size

    def modified(self, key: str) -> float:
        with _translated(key):
            return self._path(key).stat().st_mtime

    def list(self, prefix: str) -> Iterator[str]:
        folder = check_key(prefix, folder=True)
        start = self.root / folder if folder else self.root
        found: list[str] = []
        for parent, _, files in os.walk(start):
            for name in files:
                if not name.startswith(TEMPORARY_PREFIX):
                    found.append((Path(parent) / name).relative_to(self.root).as_posix())
        return iter(sorted(found))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        folder = check_key(prefix, folder=True)
        waiting = [self.root / folder if folder else self.root]
        while waiting:
            try:
                entries = list(os.scandir(waiting.pop()))
            except OSError:  # removed since it was seen
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif not entry.name.startswith(TEMPORARY_PREFIX):
                    with contextlib.suppress(FileNotFoundError):
                        yield (
                            Path(entry.path).relative_to(self.root).as_posix(),
                            entry.stat(follow_symlinks=False).st_size,
                        )

    def _path(self, key: str) -> Path:
        path = self.root / check_key(key)
        # A symlink inside the store (somebody's mistake, or a hostile artefact) must not lead out of it.
        if not path.parent.resolve().is_relative_to(self.root) or path.is_symlink():
            raise Invalid("storage.key", "The storage key leads out of the store.", {"key": key})
        return path

    def _write(self, target: Path, reading: BinaryIO) -> None:
        temporary = target.parent / f"{TEMPORARY_PREFIX}{uuid4().hex}"
        try:
            with temporary.open("xb") as writing:
                shutil.copyfileobj(reading, writing, COPY_CHUNK)
                writing.flush()
                os.fsync(writing.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _prune(self, folder: Path) -> None:
        """Remove folders that a deletion left empty, up to the root."""
        while folder != self.root:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent


def _missing(key: str) -> NotFound:
    return NotFound("storage.missing", "There are no bytes at this storage key.", {"key": key})


@contextlib.contextmanager
def _translated(key: str) -> Iterator[None]:
    """OSError as the typed errors of the Protocol."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError) as error:
        raise _missing(key) from error
    except OSError as error:
        if error.errno in FULL:
            raise NoSpace(
                "storage.full", "The studio's disk is full; free some space and try again.", {"key": key}
            ) from error
        raise Unavailable(
            "storage.unavailable", f"The studio's storage cannot be used: {error.strerror}.", {"key": key}
        ) from error


def _same_file_system(source: Path, folder: Path) -> bool:
    return source.stat().st_dev == folder.stat().st_dev and not source.is_symlink()


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
