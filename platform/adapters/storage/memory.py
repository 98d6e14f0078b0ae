"""The fake twin: an object store in memory, for tests of everything that only needs bytes under keys."""

from __future__ import annotations

import io
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from adapters.storage.keys import check_key
from adapters.storage.sources import open_regular
from foundation.errors import NoSpace, NotFound


class MemoryStore:
    """Keeps bytes in a dictionary. capacity: total bytes after which `put` raises NoSpace (None = no limit)."""

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()
        self._mirror: tempfile.TemporaryDirectory[str] | None = None

    def put(self, local_path: Path, key: str, *, move: bool = False) -> int:
        with open_regular(Path(local_path)) as reading:
            size = self.put_bytes(reading.read(), key)
        if move:
            Path(local_path).unlink()
        return size

    def put_bytes(self, data: bytes, key: str) -> int:
        key = check_key(key)
        with self._lock:
            others = sum(len(value) for name, (value, _) in self._objects.items() if name != key)
            if self.capacity is not None and others + len(data) > self.capacity:
                raise NoSpace("storage.full", "The studio's storage is full; free some space and try again.")
            self._objects[key] = (bytes(data), time.time())
        return len(data)

    def get(self, key: str, local_path: Path) -> int:
        return Path(local_path).write_bytes(self._bytes(key))

    def local(self, key: str) -> Path:
        data = self._bytes(key)
        if self._mirror is None:
            self._mirror = tempfile.TemporaryDirectory(prefix="atelier-memory-store-")
        path = Path(self._mirror.name) / check_key(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def open(self, key: str) -> BinaryIO:
        return io.BytesIO(self._bytes(key))

    def delete(self, key: str) -> bool:
        with self._lock:
            return self._objects.pop(check_key(key), None) is not None

    def exists(self, key: str) -> bool:
        return check_key(key) in self._objects

    def size(self, key: str) -> int:
        return len(self._bytes(key))

    def modified(self, key: str) -> float:
        self._bytes(key)
        return self._objects[key][1]

    def list(self, prefix: str) -> Iterator[str]:
        folder = check_key(prefix, folder=True)
        return iter(sorted(key for key in self._objects if not folder or key.startswith(folder + "/")))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        return iter([(key, self.size(key)) for key in self.list(prefix)])

    def _bytes(self, key: str) -> bytes:
        found = self._objects.get(check_key(key))
        if found is None:
            raise NotFound("storage.missing", "There are no bytes at this storage key.", {"key": key})
        return found[0]
