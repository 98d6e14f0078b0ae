"""What the rest of the studio asks of an object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable


@runtime_checkable
class ObjectStore(Protocol):
    """Bytes under posix keys such as "teams/ab/objects/12/1234….parquet".

    Every method raises Invalid "storage.key" for a key that could leave the store (`keys.check_key`),
    NotFound "storage.missing" when there is nothing at the key (except `delete` and `exists`), NoSpace
    "storage.full" when the disk is full, and Unavailable "storage.unavailable" when the store does not answer.
    """

    def put(self, local_path: Path, key: str, *, move: bool = False) -> int:
        """Store a local file under `key`, replacing what is there, all or nothing and durable on return.

        move: the local file may be consumed (a rename where that is possible). It is gone afterwards.
        Returns the number of bytes.
        """
        ...

    def put_bytes(self, data: bytes, key: str) -> int:
        """As `put`, for bytes already in memory."""
        ...

    def get(self, key: str, local_path: Path) -> int:
        """Copy the bytes to a local file, all or nothing. Returns the number of bytes."""
        ...

    def local(self, key: str) -> Path:
        """A local path from which the bytes can be read: the file itself in a local store, else a cached
        copy. Never write to it."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A readable, seekable binary file over the bytes."""
        ...

    def delete(self, key: str) -> bool:
        """Remove the bytes. Returns whether there were any; a missing key is no error."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there are bytes at the key."""
        ...

    def size(self, key: str) -> int:
        """Number of bytes at the key."""
        ...

    def modified(self, key: str) -> float:
        """When the bytes were written, in seconds since 1970 (UTC)."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """All keys below the folder `prefix` ("" = the whole store), sorted. Unfinished writes never show."""
        ...

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Keys below the folder `prefix` with their bytes, in no order and in one walk: for measuring."""
        ...
