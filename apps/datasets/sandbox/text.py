"""Text files: which encoding, whether every byte of it holds, and a UTF-8 copy where it is another."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.datasets.sandbox.limits import MB, unreadable
from apps.datasets.sandbox.options import ENCODINGS

CHUNK = 4 * MB
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LABELS = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32-le": "UTF-32",
    "utf-32-be": "UTF-32",
    "cp1252": "Windows-1252",
}
_CONTROLS = re.compile(rb"[\x01-\x08\x0b\x0e-\x1f\x7f]")
_UNDEFINED_1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_NON_ASCII = re.compile(rb"[\x80-\xff]")
# surrogateescape maps an undecodable byte 0x80..0xff to U+DC80..U+DCFF.
_ESCAPED = re.compile("[\udc80-\udcff]")
_DECODED = re.compile("[^\x00-\x7f\udc80-\udcff]")


@dataclass(frozen=True)
class Text:
    """A text file that is valid UTF-8 from `skip` bytes on (a byte-order mark). note: a sentence when the
    encoding had to be guessed."""

    path: Path
    encoding: str
    skip: int = 0
    note: str = ""


def as_utf8(
    path: Path, folder: Path, asked: str = "auto", progress: Callable[[int], None] = lambda _: None
) -> Text:
    """The same text as valid UTF-8 without NUL, checked to its last byte.

    asked: "auto" or a key of ENCODINGS. folder: where a re-encoded copy may be written. progress: bytes read.
    Raises UserError for binary or mis-encoded files, with the line.
    """
    head = _head(path)
    mark, encoding = next(((bom, name) for bom, name in BOMS if head.startswith(bom)), (b"", ""))
    if asked != "auto":
        encoding = ENCODINGS[asked]
        if encoding == "utf-16-le" and mark == codecs.BOM_UTF16_BE:
            encoding = "utf-16-be"
        mark = mark if encoding.startswith("utf") else b""
    elif not encoding:
        encoding = _utf16_without_mark(head)
    if encoding in ("", "utf-8"):
        found = _check_utf8(
            path, len(mark), guess=encoding == "" and asked == "auto", said=asked != "auto", progress=progress
        )
        if found == "utf-8":
            return Text(path, "UTF-8", skip=len(mark))
        encoding = found
    note = ""
    if encoding == "cp1252" and asked == "auto":
        note = "The file is not UTF-8; it was read as Windows-1252. Check letters with accents."
    target = folder / "text.utf8"
    _transcode(path, target, encoding, len(mark), progress)
    return Text(target, LABELS.get(encoding, encoding), note=note)


def _head(path: Path) -> bytes:
    with path.open("rb") as reading:
        return reading.read(4096)


def _utf16_without_mark(head: bytes) -> str:
    """UTF-16 text without a mark has a NUL in nearly every second byte."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = max(1, len(head) // 2)
    if odd > 0.6 * half and even < 0.1 * half:
        return "utf-16-le"
    if even > 0.6 * half and odd < 0.1 * half:
        return "utf-16-be"
    return ""


def _chunks(path: Path, skip: int, progress: Callable[[int], None]) -> Iterator[bytes]:
    read = skip
    with path.open("rb") as reading:
        reading.seek(skip)
        while chunk := reading.read(CHUNK):
            read += len(chunk)
            progress(read)
            yield chunk


def _check_utf8(path: Path, skip: int, *, guess: bool, said: bool, progress: Callable[[int], None]) -> str:
    """ "utf-8" when every byte holds, "cp1252" when it is plainly a one-byte encoding (only if `guess`). said:
    somebody chose UTF-8, so the sentence must not claim that others were tried."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    line, controls, size, good, bad, first_bad = 1, 0, 0, 0, 0, 0
    undefined = False
    for chunk in _chunks(path, skip, progress):
        size += len(chunk)
        if b"\0" in chunk:
            at = line + chunk[: chunk.index(b"\0")].count(b"\n")
            raise unreadable(
                f"Line {at} holds a NUL byte: the file is binary, damaged, or in an encoding other than it seems.",
                line=at,
            )
        controls += len(_CONTROLS.findall(chunk))
        if controls > 16 and controls > size * 0.01:
            raise unreadable("The file is binary, not text: it cannot be read as a table.")
        if not chunk.isascii() or decoder.getstate()[0]:
            text = decoder.decode(chunk)
            escaped = _ESCAPED.search(text)
            if escaped and not first_bad:
                first_bad = line + text[: escaped.start()].count("\n")
            bad += len(_ESCAPED.findall(text))
            good += len(_DECODED.findall(text))
            undefined = undefined or bool(_UNDEFINED_1252.search(chunk))
        line += chunk.count(b"\n")
    if decoder.decode(b"", final=True):
        bad, first_bad = bad + 1, first_bad or line
    if not bad:
        return "utf-8"
    if guess and not undefined and good * 10 < bad:
        return "cp1252"
    advice = (
        ", which was chosen as its encoding; choose another, or let it be found out."
        if said
        else " and the file fits no other known encoding; save it as UTF-8."
    )
    raise unreadable(f"Line {first_bad} is not valid UTF-8{advice}", line=first_bad)


def _transcode(path: Path, target: Path, encoding: str, skip: int, progress: Callable[[int], None]) -> None:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    line = 1
    with target.open("wb") as writing:
        try:
            for chunk in _chunks(path, skip, progress):
                line += _write(writing.write, decoder.decode(chunk), line)
            _write(writing.write, decoder.decode(b"", final=True), line)
        except (UnicodeDecodeError, UnicodeEncodeError) as error:
            raise unreadable(
                f"The file is not valid {LABELS.get(encoding, encoding)}: it breaks at or after line {line}.",
                line=line,
            ) from error


def _write(write: Callable[[bytes], int], text: str, line: int) -> int:
    if "\0" in text:
        at = line + text[: text.index("\0")].count("\n")
        raise unreadable(f"Line {at} holds a NUL character: the file is damaged or not text.", line=at)
    write(text.encode("utf-8"))
    return text.count("\n")
