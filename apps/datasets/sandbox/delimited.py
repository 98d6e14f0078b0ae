"""CSV and TSV: which separator, whether there is a header, and rows that do not fit it, named by their line."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.datasets.sandbox.columns import checked_names
from apps.datasets.sandbox.infer import FLOAT, INTEGER
from apps.datasets.sandbox.limits import MB, Limits, too_large, unreadable
from apps.datasets.sandbox.options import SEPARATORS
from apps.datasets.sandbox.text import Text
from foundation.tasks import UserError

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_BYTES = 256 * 1024
SAMPLE_ROWS = 200
_VALUE = re.compile(
    f"{INTEGER}|{FLOAT}|^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[T ].*)?$|^(?:true|false)$", re.IGNORECASE
)
_SEP_LINE = re.compile(r"^\"?sep=(.)\"?\r?$", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out. names: the columns. skip: lines before the data. lead: records before the
    header (a `sep=` line)."""

    separator: str
    names: list[str]
    skip: int
    lead: int
    header: bool


def layout_of(text: Text, *, separator: str, header: str, limits: Limits, notes: list[str]) -> Layout:
    """Look at the beginning of the file and settle separator and header.

    separator: "auto" or a key of SEPARATORS. header: "auto", "yes" or "no".
    Raises UserError for a file without lines, a header that cannot be used, and a first line that is data.
    """
    sample = _sample(text, limits)
    content = sample.lstrip("\n")
    skip = len(sample) - len(content)
    sample, lead = content, 0
    first = sample.split("\n", 1)[0]
    declared = _SEP_LINE.match(first)
    if declared:
        sample = sample.split("\n", 1)[1] if "\n" in sample else ""
        lead, skip = 1, skip + 1
    if not sample.strip():
        raise unreadable("The file has no lines with content.")
    if separator == "auto":
        mark = declared.group(1) if declared else _sniff(sample)
    else:
        mark = SEPARATORS[separator]
    rows = _rows(sample, mark)
    names = header_names(rows, header=header, limits=limits, notes=notes)
    return Layout(mark, names, skip + (header != "no"), lead, header=header != "no")


def header_names(rows: list[list[str]], *, header: str, limits: Limits, notes: list[str]) -> list[str]:
    """The column names that the first of these records gives, or generated ones when header is "no".

    Raises UserError when they cannot be used, or (header "auto") when the first record is plainly data.
    """
    if header == "no":
        limits.check_shape(0, len(rows[0]))
        return [f"column_{number}" for number in range(1, len(rows[0]) + 1)]
    if header == "auto" and _is_data(rows):
        shown = ", ".join(cell.strip() for cell in rows[0][:4])
        raise UserError(
            f"The first line looks like data ({shown}{', …' if len(rows[0]) > 4 else ''}), not like column names. Add "
            "a header line, or say that the file has no header; if these are names, say that the first line is one.",
            code="dataset.no_header",
            detail={"line": 1},
        )
    return checked_names(rows[0], limits, notes)


def batches(
    text: Text, layout: Layout, limits: Limits, progress: Callable[[int], None] = lambda _: None
) -> Iterator[pa.RecordBatch]:
    """The data as record batches of strings, about one block of the file each; empty cells are missing.

    Raises UserError for a row with more or fewer values than the header, a quote that is never closed, a line
    that is too long; each with its line.
    """
    import pyarrow as pa
    import pyarrow.csv as pacsv

    odd: list[Any] = []

    def refuse(row: Any) -> str:
        odd.append(row)
        return "error"

    try:
        with _Counting(text, progress) as raw:
            reader = pacsv.open_csv(
                pa.PythonFile(raw, mode="r"),
                read_options=pacsv.ReadOptions(
                    use_threads=False,
                    block_size=limits.line_bytes,
                    column_names=layout.names,
                    skip_rows=layout.skip,
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=layout.separator, newlines_in_values=True, invalid_row_handler=refuse
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(layout.names, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                    check_utf8=False,
                ),
            )
            yield from reader
            # The reader takes the end of the file for the end of an open quote; a truncated file ends like that.
            opened = _open_quote(text, layout) if raw.quotes % 2 else 0
            if opened:
                raise _never_closed(opened)
    except pa.ArrowInvalid as error:
        raise _explain(text, layout, limits, str(error), odd) from error


class _Counting:
    """The bytes of the text from its first character on, telling how far they have been read."""

    def __init__(self, text: Text, progress: Callable[[int], None]) -> None:
        self._file = text.path.open("rb")
        self._file.seek(text.skip)
        self._progress = progress
        self.quotes = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.quotes += data.count(b'"')
        self._progress(self._file.tell())
        return data

    def close(self) -> None:
        self.closed = True
        self._file.close()

    def __enter__(self) -> _Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sample(text: Text, limits: Limits) -> str:
    """Whole lines from the beginning: 256 kB, or the first line when that is longer."""
    with text.path.open("rb") as reading:
        reading.seek(text.skip)
        data = reading.read(SAMPLE_BYTES)
        rest = reading.read(limits.line_bytes) if data and len(data) == SAMPLE_BYTES else b""
    if rest:
        cut = data.rfind(b"\n")
        if cut < 0:
            end = rest.find(b"\n")
            if end < 0 and len(rest) == limits.line_bytes:
                raise _long_line(1, limits)
            data += rest if end < 0 else rest[:end]
        else:
            data = data[:cut]
    return data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


def _rows(sample: str, separator: str) -> list[list[str]]:
    """The first records of the sample, without blank lines."""
    reader = csv.reader(sample.splitlines(keepends=True), delimiter=separator)
    csv.field_size_limit(max(SAMPLE_BYTES * 64, 16 * MB))
    try:
        return list(itertools.islice((row for row in reader if row), SAMPLE_ROWS))
    except csv.Error as error:
        raise unreadable(f"Line {reader.line_num} cannot be read: {error}.", line=reader.line_num) from error


def _sniff(sample: str) -> str:
    """The separator that splits the most lines into as many cells as the first line has, at least two."""
    best, best_score = ",", (0.0, 0)
    for candidate in SEPARATORS.values():
        rows = _rows(sample, candidate)
        width = len(rows[0]) if rows else 0
        if width < 2:
            continue
        agreeing = sum(len(row) == width for row in rows) / len(rows)
        if (agreeing, width) > best_score and agreeing >= 0.5:
            best, best_score = candidate, (agreeing, width)
    return best


def _is_data(rows: list[list[str]]) -> bool:
    """Whether the first record is data: wherever most later cells are values, the first one is a value too."""
    if len(rows) < 2:
        return all(_VALUE.match(cell.strip()) for cell in rows[0] if cell.strip()) and any(rows[0])
    valued = 0
    for index, cell in enumerate(rows[0]):
        below = [row[index].strip() for row in rows[1:] if index < len(row) and row[index].strip()]
        if not below or sum(bool(_VALUE.match(value)) for value in below) < 0.9 * len(below):
            continue
        if not cell.strip():
            continue
        if not _VALUE.match(cell.strip()):
            return False
        valued += 1
    return valued > 0


def _explain(text: Text, layout: Layout, limits: Limits, reason: str, odd: list[Any]) -> UserError:
    """What went wrong, found again by a slow and exact reader so that the line can be named."""
    if "straddling" in reason or "out of sync" in reason or "block" in reason:
        return _straddling(text, layout, limits)
    line, width = _odd_line(text, layout)
    if line == 0 and odd:
        line, width = int(odd[0].number or 0), int(odd[0].actual_columns)
    wanted = len(layout.names)
    if line:
        return unreadable(
            f"Line {line:,} has {width} {'value' if width == 1 else 'values'} where "
            f"{'the header has' if layout.header else 'the first line has'} {wanted}.",
            line=line,
            values=width,
            expected=wanted,
        )
    return unreadable("The file cannot be read as a table with one separator between its values.")


def _records(text: Text, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, cells) of each record that is not blank."""
    with text.path.open("r", encoding="utf-8", errors="replace", newline="") as reading:
        reading.seek(text.skip)
        reader = csv.reader(reading, delimiter=separator)
        for row in reader:
            if row:
                yield reader.line_num - sum(cell.count("\n") for cell in row), row


def _odd_line(text: Text, layout: Layout) -> tuple[int, int]:
    """Line and width of the first record that does not fit the header, (0, 0) when this reader finds none."""
    try:
        for number, (line, row) in enumerate(_records(text, layout.separator)):
            if number >= layout.lead and len(row) != len(layout.names):
                return line, len(row)
    except csv.Error:
        return 0, 0
    return 0, 0


def _open_quote(text: Text, layout: Layout) -> int:
    """The line on which a quote opens that is never closed, 0 when every quote is closed or merely stray."""
    opened, opening = 0, b""
    with text.path.open("rb") as reading:
        reading.seek(text.skip)
        for line, raw in enumerate(reading, start=1):
            if raw.count(b'"') % 2:
                opened, opening = (0, b"") if opened else (line, raw)
    cells = opening.split(layout.separator.encode())
    return opened if any(cell.lstrip().startswith(b'"') for cell in cells) else 0


def _straddling(text: Text, layout: Layout, limits: Limits) -> UserError:
    """A record longer than a block: an open quote, or simply too long a line."""
    opened = _open_quote(text, layout)
    if opened:
        return _never_closed(opened)
    with text.path.open("rb") as reading:
        reading.seek(text.skip)
        for line, raw in enumerate(reading, start=1):
            if len(raw) >= limits.line_bytes:
                return _long_line(line, limits)
    return unreadable("The file has a record that is too long, or quotation marks that do not match.")


def _never_closed(line: int) -> UserError:
    return unreadable(f"A quotation mark that opens on line {line:,} is never closed.", line=line)


def _long_line(line: int, limits: Limits) -> UserError:
    return too_large(
        f"Line {line:,} is longer than {limits.line_bytes:,} bytes, which is the limit.",
        "line_bytes",
        limits.line_bytes,
    )
