"""A store on any file system that fsspec knows, such as an S3-compatible service."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import uuid4

from adapters.storage.keys import TEMPORARY_PREFIX, check_key
from adapters.storage.local import COPY_CHUNK, FULL
from adapters.storage.sources import open_regular
from foundation.errors import NoSpace, NotFound, Unavailable


class RemoteStore:
    """Objects below one prefix of an fsspec file system.

    filesystem: an fsspec AbstractFileSystem. root: bucket and prefix. cache: local folder for the copies that
    `local()` hands out; they are named by key, size and write time, so a replaced object is fetched anew.
    A put of an object service is atomic by itself: the object appears when its last byte is acknowledged.
    """

    def __init__(self, filesystem: Any, root: str, cache: Path) -> None:
        self.filesystem = filesystem
        self.root = root.strip("/") if not root.startswith("/") else root.rstrip("/")
        self.cache = Path(cache)

    def put(self, local_path: Path, key: str, *, move: bool = False) -> int:
        source = Path(local_path)
        address = self._address(key)
        with open_regular(source) as checked:
            size = os.fstat(checked.fileno()).st_size
        with _translated(key):
            self._make_parent(address)
            self.filesystem.put_file(str(source), address)
        if move:
            source.unlink()
        return size

    def put_bytes(self, data: bytes, key: str) -> int:
        address = self._address(key)
        with _translated(key):
            self._make_parent(address)
            self.filesystem.pipe_file(address, data)
        return len(data)

    def get(self, key: str, local_path: Path) -> int:
        target = Path(local_path)
        temporary = target.parent / f"{TEMPORARY_PREFIX}{uuid4().hex}"
        try:
            with self.open(key) as reading, _translated(key), temporary.open("xb") as writing:
                shutil.copyfileobj(reading, writing, COPY_CHUNK)
                writing.flush()
                os.fsync(writing.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return target.stat().st_size

    def local(self, key: str) -> Path:
        name = hashlib.sha256(f"{key}\0{self.size(key)}\0{self.modified(key)}".encode()).hexdigest()
        path = self.cache / name[:2] / (name + Path(key).suffix)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.get(key, path)
        return path

    def open(self, key: str) -> BinaryIO:
        with _translated(key):
            return cast("BinaryIO", self.filesystem.open(self._address(key), "rb"))

    def delete(self, key: str) -> bool:
        if not self.exists(key):
            return False
        with _translated(key), contextlib.suppress(FileNotFoundError):
            self.filesystem.rm_file(self._address(key))
        return True

    def exists(self, key: str) -> bool:
        with _translated(key):
            return bool(self.filesystem.isfile(self._address(key)))

    def size(self, key: str) -> int:
        with _translated(key):
            return int(self.filesystem.size(self._address(key)))

    def modified(self, key: str) -> float:
        with _translated(key):
            moment: datetime.datetime = self.filesystem.modified(self._address(key))
        return moment.timestamp() if moment.tzinfo else moment.replace(tzinfo=datetime.UTC).timestamp()

    def list(self, prefix: str) -> Iterator[str]:
        folder = check_key(prefix, folder=True)
        start = f"{self.root}/{folder}" if folder else self.root
        with _translated(prefix):
            self.filesystem.invalidate_cache()
            found = self.filesystem.find(start)
        base = self.root.lstrip("/") + "/"
        return iter(sorted(str(name).lstrip("/").removeprefix(base) for name in found))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        folder = check_key(prefix, folder=True)
        start = f"{self.root}/{folder}" if folder else self.root
        with _translated(prefix):
            self.filesystem.invalidate_cache()
            found = self.filesystem.find(start, detail=True)
        base = self.root.lstrip("/") + "/"
        for name, facts in found.items():
            yield str(name).lstrip("/").removeprefix(base), int(facts.get("size") or 0)

    def _address(self, key: str) -> str:
        return f"{self.root}/{check_key(key)}"

    def _make_parent(self, address: str) -> None:
        # Object services have no folders, but other file systems do; fsspec makes it a no-op where it is none.
        self.filesystem.makedirs(address.rpartition("/")[0], exist_ok=True)


@contextlib.contextmanager
def _translated(key: str) -> Iterator[None]:
    """What a client library raises, as the typed errors of the Protocol."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("storage.missing", "There are no bytes at this storage key.", {"key": key}) from error
    except OSError as error:
        if error.errno in FULL:
            raise NoSpace(
                "storage.full", "The studio's storage is full; free some space and try again.", {"key": key}
            ) from error
        raise Unavailable(
            "storage.unavailable", f"The studio's storage does not answer: {error}.", {"key": key}
        ) from error
