"""Reading a folder into which somebody's program writes at the same time: no link is followed, no name believed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILES_AT_MOST = 1000
BYTES_AT_MOST = 5 * 1000**3
DEPTH = 12
PATH_BYTES = 600
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 1024 * 1024


class TooMuch(Exception):
    """The folder holds more than is kept; the text says what."""


class Changed(Exception):
    """Somebody writes into it right now: there is nothing whole to be had."""


@dataclass(frozen=True)
class Seen:
    """A file at one moment. Equal values: the same content, as far as can be told without reading it."""

    path: str
    size: int
    modified: int
    inode: int


@contextmanager
def _opened(folder: Path, path: str) -> Iterator[int]:
    """The descriptor of what lies at a path below a folder, every step of it taken without following links."""
    descriptors = [os.open(folder, _FOLDER)]
    try:
        *above, name = path.split("/")
        for part in above:
            descriptors.append(os.open(part, _FOLDER, dir_fd=descriptors[-1]))
        descriptors.append(os.open(name, _FILE, dir_fd=descriptors[-1]))
        yield descriptors[-1]
    finally:
        for descriptor in reversed(descriptors):
            os.close(descriptor)


def look(folder: Path) -> tuple[Seen, ...]:
    """The plain files below a folder, sorted. What is anything else, or has a second name elsewhere, is left out.

    Raises TooMuch, OSError when the folder is gone.
    """
    found: list[Seen] = []
    root = os.open(folder, _FOLDER)
    try:
        _look(root, "", found, 0)
    finally:
        os.close(root)
    if sum(one.size for one in found) > BYTES_AT_MOST:
        raise TooMuch(f"more than {BYTES_AT_MOST / 1e9:.0f} GB")
    return tuple(sorted(found, key=lambda one: one.path))


def _look(descriptor: int, prefix: str, found: list[Seen], depth: int) -> None:
    with os.scandir(descriptor) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        path = prefix + name
        try:
            state = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            usable = len(path.encode()) <= PATH_BYTES and "\\" not in path and path.isprintable()
        except (OSError, UnicodeEncodeError):
            continue
        if stat.S_ISDIR(state.st_mode) and depth < DEPTH:
            try:
                inner = os.open(name, _FOLDER, dir_fd=descriptor)
            except OSError:
                continue
            try:
                _look(inner, f"{path}/", found, depth + 1)
            finally:
                os.close(inner)
        elif stat.S_ISREG(state.st_mode) and state.st_nlink == 1 and usable:
            found.append(Seen(path, state.st_size, state.st_mtime_ns, state.st_ino))
            if len(found) > FILES_AT_MOST:
                raise TooMuch(f"more than {FILES_AT_MOST:,} files")


def copy(folder: Path, seen: Seen, target: Path) -> str:
    """Copy one file to a place of ours; its SHA-256. Raises Changed when it is no longer what was seen."""
    digest = hashlib.sha256()
    try:
        with _opened(folder, seen.path) as descriptor, target.open("wb") as file:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode) or state.st_ino != seen.inode or state.st_nlink != 1:
                raise Changed(seen.path)
            left = seen.size
            while left and (piece := os.read(descriptor, min(_PIECE, left))):
                digest.update(piece)
                file.write(piece)
                left -= len(piece)
            again = os.fstat(descriptor)
    except FileNotFoundError:
        raise Changed(seen.path) from None
    if left or again.st_size != seen.size or again.st_mtime_ns != seen.modified:
        raise Changed(seen.path)
    return digest.hexdigest()
