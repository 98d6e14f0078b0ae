"""Archives of code: checked entry by entry while they are read, and packed anew as a zip that holds only files.

What came from somebody is read in a confined process (sandbox/intake.py); what it leaves is the only form that
is stored, shown and run. Standard library only.
"""

from __future__ import annotations

import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from foundation.tasks import UserError

ENTRIES = 5_000
TOTAL_BYTES = 200 * 1000**2
FILE_BYTES = 100 * 1000**2
#: Text packs ten times; what packs better by far, and is large, was made to fill a disk.
RATIO = 100
RATIO_FROM = 10 * 1000**2
PATH_BYTES = 400
NAME_BYTES = 200
PIECE = 256 * 1024
DIRECTORY_BYTES = 16 * 1000**2
#: What tools leave beside the code and nobody means to run.
_LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__", "__MACOSX", ".DS_Store", ".ipynb_checkpoints"})
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, lzma.LZMAError, EOFError, OSError,
    struct.error, ValueError, NotImplementedError, RuntimeError, IndexError, MemoryError, OverflowError,
)  # fmt: skip
Refusal = Callable[..., UserError]


def refuse(code: str, sentence: str, **detail: Any) -> UserError:
    """The error for an archive that is not taken."""
    return UserError(sentence, code=f"archive.{code}", detail={"field": "code", **detail})


@dataclass
class Entry:
    """A regular file of an archive, not yet read. size: as it says itself, which is not believed."""

    path: str
    size: int
    executable: bool
    open: Callable[[], IO[bytes]]


@dataclass
class Packed:
    """What was packed: files and bytes, and sentences about what was left out."""

    files: int = 0
    bytes: int = 0
    left_out: list[str] = field(default_factory=list)


def kind_of(head: bytes) -> str:
    """What the first bytes of a file say: "zip", "gzip", "tar", "other" for archives that are not taken, or ""."""
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return "zip"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head[257:262] == b"ustar":
        return "tar"
    others = (
        b"BZh",
        b"\xfd7zXZ\x00",
        b"7z\xbc\xaf\x27\x1c",
        b"Rar!\x1a\x07",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18",
    )
    return "other" if head.startswith(others) else ""


def pack_archive(source: IO[bytes], target: Path) -> Packed:
    """Check an uploaded archive and pack it anew. Raises UserError "archive.…"; target is then worth nothing."""
    kind = kind_of(source.read(512))
    size = source.seek(0, 2)
    source.seek(0)
    if kind == "zip":
        return _guarded(lambda: _pack(_zip_entries(source), target, compressed=size))
    if kind in ("gzip", "tar"):
        return _guarded(lambda: _pack_tar(source, target, kind, size))
    raise refuse("kind", "An archive is a .zip, .tar.gz or .tar file; this one is of another kind.")


def _pack_tar(source: IO[bytes], target: Path, kind: str, size: int) -> Packed:
    plain: IO[bytes] = gzip.GzipFile(fileobj=source) if kind == "gzip" else source  # type: ignore[assignment]
    return pack_tar(plain, target, compressed=size)


def pack_tar(stream: Any, target: Path, *, compressed: int | None = None, links: bool = False) -> Packed:
    """Check a tar stream and pack it. links: leave links out with a sentence (a git repository) instead of
    refusing them (an upload)."""
    packed = Packed()
    entries = _tar_entries(_Counted(stream), packed, links=links)
    return _guarded(lambda: _pack(entries, target, compressed=compressed, packed=packed))


def _guarded(work: Callable[[], Packed]) -> Packed:
    try:
        return work()
    except UserError:
        raise
    except _BROKEN as error:
        said = str(error) or type(error).__name__
        raise refuse("unreadable", f"The archive cannot be read: {said[:200]}.") from None


class _Counted:
    """A stream that gives no more bytes than an archive may hold, headers of its own included."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.left = TOTAL_BYTES + ENTRIES * 2048

    def read(self, size: int = -1) -> bytes:
        if size > self.left or size < 0:
            raise _too_large()
        data: bytes = self.stream.read(size)
        self.left -= len(data)
        return data


def _too_large() -> UserError:
    return refuse(
        "too_large",
        f"The archive holds more than {TOTAL_BYTES // 1000**2} MB unpacked. Data belongs into a dataset.",
        limit=TOTAL_BYTES,
    )


def _tar_entries(stream: _Counted, packed: Packed, *, links: bool) -> Iterator[Entry]:
    with tarfile.open(fileobj=stream, mode="r|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for number, member in enumerate(archive):
            if number > 2 * ENTRIES:
                raise _too_many()
            path = check_path(member.name)
            if member.issym() or member.islnk():
                if not links:
                    raise _link(path)
                packed.left_out.append(f"'{path}' is a link and is left out.")
            elif member.isdir():
                continue
            elif not member.isreg() or member.sparse:
                raise _special(path)
            else:
                opened = archive.extractfile(member)
                assert opened is not None
                yield Entry(path, member.size, bool(member.mode & 0o100), lambda opened=opened: opened)  # type: ignore[misc]


def _zip_entries(source: IO[bytes]) -> Iterator[Entry]:
    _check_directory(source)
    with zipfile.ZipFile(source) as archive:
        if len(archive.infolist()) > 2 * ENTRIES:
            raise _too_many()
        for info in archive.infolist():
            path = check_path(info.orig_filename.replace("\\", "/"))
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                raise _link(path)
            if info.is_dir() or path.endswith("/") or stat.S_ISDIR(mode):
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise _special(path)
            if info.flag_bits & 1:
                raise refuse("encrypted", "The archive is encrypted; send it without a password.")
            yield Entry(path, info.file_size, bool(mode & 0o100), lambda info=info: archive.open(info))  # type: ignore[misc]


def _check_directory(source: IO[bytes]) -> None:
    """Refuse a zip of very many entries before a list of them is made."""
    size = source.seek(0, 2)
    source.seek(max(0, size - 66_000))
    tail = source.read()
    source.seek(0)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise refuse("unreadable", "The archive cannot be read: its end is missing.")
    entries, directory = struct.unpack("<H4xI", tail[at + 10 : at + 12] + bytes(4) + tail[at + 12 : at + 16])
    if entries > 2 * ENTRIES or directory > DIRECTORY_BYTES:
        raise _too_many()


def check_path(path: str) -> str:
    """The path of an entry, relative and plain. Raises UserError "archive.unsafe_path"."""
    shown = path.encode("utf-8", "replace").decode()[:120]
    if path.startswith(("/", "\\\\")) or re.match(r"[A-Za-z]:", path):
        raise refuse("unsafe_path", f"The archive holds the absolute path '{shown}'.", path=shown)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise refuse(
            "unsafe_path", f"The archive holds '{shown}', which would lead out of its folder.", path=shown
        )
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        encoded = b"\x00"
    odd = any(byte < 32 or byte == 127 for byte in encoded)
    if odd or len(encoded) > PATH_BYTES or any(len(part.encode()) > NAME_BYTES for part in parts):
        raise refuse("unsafe_path", f"The archive holds a name that cannot be used: '{shown}'.", path=shown)
    return "/".join(parts) + ("/" if path.endswith("/") and parts else "")


def _link(path: str) -> UserError:
    return refuse("link", f"The archive holds the link '{path}'. Pack the file itself.", path=path)


def _special(path: str) -> UserError:
    return refuse(
        "special", f"'{path}' in the archive is no regular file (a device, a pipe or the like).", path=path
    )


def _too_many() -> UserError:
    return refuse("too_many", f"The archive holds more than {ENTRIES:,} files.", limit=ENTRIES)


def _pack(
    entries: Iterator[Entry], target: Path, *, compressed: int | None, packed: Packed | None = None
) -> Packed:
    packed = packed or Packed()
    names: set[str] = set()
    folders: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as made:
        for entry in entries:
            parts = entry.path.split("/")
            if _LEFT_OUT & set(parts) or parts[-1].startswith("._") or parts[-1].endswith(".pyc"):
                continue
            _check_name(entry.path, parts, names, folders)
            packed.files += 1
            if packed.files > ENTRIES:
                raise _too_many()
            info = zipfile.ZipInfo(entry.path, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | (0o755 if entry.executable else 0o644)) << 16
            with entry.open() as opened, made.open(info, "w") as file:
                _copy(opened, file, packed, compressed, entry.path)
    if not packed.files:
        raise refuse("empty", "The archive holds no file.")
    return packed


def _check_name(path: str, parts: list[str], names: set[str], folders: set[str]) -> None:
    if not path:
        raise refuse("unsafe_path", "The archive holds a file without a name.")
    above = {"/".join(parts[:n]) for n in range(1, len(parts))}
    if path in names:
        raise refuse("duplicate", f"The archive holds '{path}' twice.", path=path)
    if path in folders or above & names:
        raise refuse("duplicate", f"In the archive '{path}' is a file and a folder.", path=path)
    names.add(path)
    folders |= above


def _copy(opened: IO[bytes], file: IO[bytes], packed: Packed, compressed: int | None, path: str) -> None:
    size = 0
    while piece := opened.read(PIECE):
        size += len(piece)
        packed.bytes += len(piece)
        if size > FILE_BYTES:
            raise refuse(
                "too_large",
                f"'{path}' in the archive is larger than {FILE_BYTES // 1000**2} MB. Data belongs into a dataset.",
                path=path,
                limit=FILE_BYTES,
            )
        if packed.bytes > TOTAL_BYTES:
            raise _too_large()
        if compressed is not None and packed.bytes > max(RATIO_FROM, RATIO * compressed):
            raise refuse(
                "bomb",
                f"The archive unpacks to more than {RATIO} times its size, so it was not read to its end.",
                ratio=RATIO,
            )
        file.write(piece)


def unpack(source: Path, folder: Path) -> int:
    """Lay out the files of an archive that `pack_archive` made. Returns how many."""
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            path = folder / check_path(info.filename)
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as opened, path.open("xb") as file:
                while piece := opened.read(PIECE):
                    file.write(piece)
            path.chmod(0o755 if (info.external_attr >> 16) & 0o100 else 0o644)
        return len(archive.infolist())
