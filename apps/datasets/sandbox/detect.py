"""What kind of file this is, judged by its content. The filename's ending only breaks ties."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apps.datasets.sandbox.limits import MB, Limits, too_large, unreadable

CHUNK = 1 * MB
GZIP = b"\x1f\x8b"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

# First bytes of things that people upload by mistake, and what to call them.
FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\x89HDF", "an HDF5 file"),
    (b"ARROW1", "an Arrow or Feather file"),
    (b"Obj\x01", "an Avro file"),
    (b"ORC", "an ORC file"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"PARE", "an encrypted Parquet file"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"),
)
ACCEPTED = "CSV, TSV, JSON lines, Parquet and Excel, each also gzipped"


@dataclass(frozen=True)
class Source:
    """A file whose kind is known. kind: "parquet", "excel", "jsonlines" or "delimited" (CSV and TSV). path: the
    unpacked bytes. compression: "gzip" or ""."""

    kind: str
    path: Path
    compression: str = ""


def recognise(
    path: Path, filename: str, folder: Path, limits: Limits, progress: Callable[[int], None] = lambda _: None
) -> Source:
    """Unpack gzip when there is any, and name the kind of what is inside.

    folder: where the unpacked copy may be written. progress: called with the packed bytes read so far.
    Raises UserError with a sentence for an empty, truncated or foreign file and for one that unpacks to too much.
    """
    name = filename.lower()
    compression = ""
    if path.stat().st_size == 0:
        raise unreadable("The file is empty.")
    if _head(path, 2) == GZIP:
        path = _gunzip(path, folder / "unpacked", limits, progress)
        compression = "gzip"
        name = name.removesuffix(".gz").removesuffix(".gzip")
        if path.stat().st_size == 0:
            raise unreadable("The gzip archive holds an empty file.")
        if _head(path, 2) == GZIP:
            raise unreadable("The file is gzipped twice; unpack it once and upload that.")
    elif name.endswith((".gz", ".gzip")):
        raise unreadable("The file is called .gz but is not gzip data; it may be damaged or misnamed.")
    return Source(_kind(path, name, limits), path, compression)


def _kind(path: Path, name: str, limits: Limits) -> str:
    head = _head(path, 16)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(OLE):
        return "excel"
    if head.startswith(ZIP):
        _check_workbook(path, limits)
        return "excel"
    for magic, what in FOREIGN:
        if head.startswith(magic) and not (magic == b"ORC" and _looks_like_text(path)):
            raise unreadable(f"The file is {what}, not a table. Accepted are {ACCEPTED}.")
    if name.endswith(".parquet"):
        raise unreadable(
            "The file is called .parquet but does not begin as Parquet does; it is damaged or misnamed."
        )
    if name.endswith((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")):
        raise unreadable("The file is called a workbook but is not one; it is damaged or misnamed.")
    return "jsonlines" if _begins_as_json(path, name) else "delimited"


def _begins_as_json(path: Path, name: str) -> bool:
    start = _head(path, 4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if name.endswith((".jsonl", ".ndjson", ".json")):
        return True
    # A CSV may begin with a brace too, but not with a brace and a quoted key or an immediate end.
    return start.startswith(b"{") and start[1:].lstrip()[:1] in {b'"', b"}"}


def _looks_like_text(path: Path) -> bool:
    head = _head(path, 512)
    return all(byte >= 32 or byte in b"\t\r\n" for byte in head)


def _head(path: Path, size: int) -> bytes:
    with path.open("rb") as reading:
        return reading.read(size)


def _gunzip(path: Path, target: Path, limits: Limits, progress: Callable[[int], None]) -> Path:
    packed = path.stat().st_size
    allowed = min(limits.unpacked_bytes, max(limits.free_ratio_bytes, packed * limits.unpack_ratio))
    written = 0
    try:
        with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) as reading, target.open("wb") as writing:
            while chunk := reading.read(CHUNK):
                written += len(chunk)
                if written > allowed:
                    raise _bomb(written, packed, limits)
                writing.write(chunk)
                progress(raw.tell())
    except EOFError as error:
        raise unreadable("The gzip archive is truncated: it ends before its contents do.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise unreadable("The gzip archive is damaged and cannot be unpacked.") from error
    return target


def _bomb(written: int, packed: int, limits: Limits) -> Exception:
    if written > limits.unpacked_bytes:
        return too_large(
            f"The archive unpacks to more than {limits.unpacked_bytes:,} bytes, which is the limit.",
            "unpacked_bytes",
            limits.unpacked_bytes,
        )
    return too_large(
        f"The archive unpacks to more than {limits.unpack_ratio} times its size ({packed:,} bytes), "
        "which looks like a decompression bomb.",
        "unpack_ratio",
        limits.unpack_ratio,
    )


def _check_workbook(path: Path, limits: Limits) -> None:
    """A zip must be a workbook, whole, and must not unpack to too much."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise unreadable("The workbook (or zip archive) is truncated or damaged.") from error
    if not any(name.startswith(("xl/", "content.xml")) for name in names):
        raise unreadable(
            f"The file is a zip archive, not a table; upload what is inside. Accepted are {ACCEPTED}."
        )
    if any(entry.flag_bits & 1 for entry in entries):
        raise unreadable("The workbook is protected by a password; save it without one.")
    packed = path.stat().st_size
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > min(limits.unpacked_bytes, max(limits.free_ratio_bytes, packed * limits.unpack_ratio)):
        raise _bomb(unpacked, packed, limits)
