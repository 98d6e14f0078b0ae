"""Tables that know their types: Parquet, read in bounded batches, and Excel, which is small by nature."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.datasets.sandbox.columns import as_kind, checked_names, stored_type, target_kind
from apps.datasets.sandbox.delimited import SAMPLE_ROWS, header_names
from apps.datasets.sandbox.infer import lookalike, resemblance_note
from apps.datasets.sandbox.limits import Limits, too_large, unreadable

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

BATCH_CELLS = 2_000_000
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class Column:
    """One column as it will be stored."""

    name: str
    kind: str


def open_parquet(path: Path, limits: Limits) -> Any:
    """A pyarrow ParquetFile whose footer was read and whose shape is within the limits. Raises UserError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = path.stat().st_size
    with path.open("rb") as reading:
        reading.seek(max(0, size - 4))
        if reading.read(4) != b"PAR1":
            raise unreadable("The Parquet file is truncated: its end is missing.")
    try:
        found = pq.ParquetFile(path, memory_map=False)
        meta = found.metadata
        unpacked = sum(
            meta.row_group(group).column(column).total_uncompressed_size
            for group in range(meta.num_row_groups)
            for column in range(meta.num_columns)
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable("The Parquet file is damaged: its footer cannot be read.") from error
    limits.check_shape(meta.num_rows, len(found.schema_arrow.names))
    if unpacked > limits.unpacked_bytes:
        raise too_large(
            f"The Parquet file unpacks to more than {limits.unpacked_bytes:,} bytes, which is the limit.",
            "unpacked_bytes",
            limits.unpacked_bytes,
        )
    return found


def parquet_columns(found: Any, limits: Limits, notes: list[str]) -> list[Column]:
    """The columns of a Parquet file. Raises UserError for names or types that cannot be kept."""
    import polars as pl
    import pyarrow as pa

    try:
        names = checked_names(list(found.schema_arrow.names), limits, notes)
        empty = found.schema_arrow.empty_table().rename_columns(names)
        schema = pl.DataFrame(empty).schema
    except (pa.ArrowException, pl.exceptions.PolarsError, NotImplementedError, ValueError) as error:
        raise unreadable("The Parquet file has a column of a type that cannot be read.") from error
    index = [name for name in names if _PANDAS_INDEX.fullmatch(name)]
    if index and len(index) < len(names):
        notes.append("The row index that pandas stored beside the columns was left out.")
    else:
        index = []
    return [
        Column(name, target_kind(name, dtype, notes)) for name, dtype in schema.items() if name not in index
    ]


def parquet_batches(
    found: Any, columns: list[Column], progress: Callable[[int], None] = lambda _: None
) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file in their stored types. progress: rows read. Raises UserError when it is damaged."""
    import polars as pl
    import pyarrow as pa

    raw = list(found.schema_arrow.names)
    # Only where an index is left out: a name with a dot would otherwise be taken for a path into a structure.
    wanted = None if len(columns) == len(raw) else [name for name in raw if not _PANDAS_INDEX.fullmatch(name)]
    size = max(256, min(65_536, BATCH_CELLS // max(1, len(columns))))
    rows = 0
    group = 0
    try:
        for group in range(found.metadata.num_row_groups):
            for batch in found.iter_batches(
                batch_size=size, row_groups=[group], columns=wanted, use_threads=False
            ):
                table = pa.Table.from_batches([batch]).rename_columns([column.name for column in columns])
                rows += batch.num_rows
                progress(rows)
                yield from stored(pl.DataFrame(table), columns)
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(
            f"The Parquet file is damaged: part {group + 1} of {found.metadata.num_row_groups} cannot be read.",
            part=group + 1,
        ) from error
    if rows != found.metadata.num_rows:
        raise unreadable("The Parquet file is damaged: it holds fewer rows than it says.")


def stored(frame: pl.DataFrame, columns: list[Column]) -> Iterator[pa.RecordBatch]:
    """A frame as record batches in the stored types, with every column renamed and cast."""
    import pyarrow as pa

    arrays = []
    for series, column in zip(frame.get_columns(), columns, strict=True):
        array = as_kind(series, column.kind).to_arrow()
        arrays.append(array.cast(stored_type(column.kind)))
    yield from pa.Table.from_arrays(arrays, names=[column.name for column in columns]).to_batches()


def read_excel(
    path: Path, *, sheet: str, header: str, limits: Limits, notes: list[str]
) -> tuple[pl.DataFrame, str]:
    """One worksheet as a frame, and its name. sheet: "" for the first visible one that has rows.

    Whole numbers become integers and midnights dates, since a workbook knows neither. Raises UserError.
    """
    import fastexcel

    try:
        book = fastexcel.read_excel(path)
        name = _choose_sheet(book, sheet, notes)
        sample = book.load_sheet(name, header_row=None, dtypes="string", n_rows=SAMPLE_ROWS).to_polars()
        rows = [["" if cell is None else str(cell) for cell in row] for row in sample.rows()]
        if not any(cell.strip() for row in rows for cell in row):
            raise unreadable(f"The worksheet '{name}' is empty.", sheet=name)
        names = header_names(rows, header=header, limits=limits, notes=notes)
        table = book.load_sheet(
            name,
            header_row=None,
            column_names=names,
            skip_rows=0 if header == "no" else 1,
            schema_sample_rows=None,
            skip_whitespace_tail_rows=True,
        ).to_polars()
    except fastexcel.FastExcelError as error:
        raise unreadable("The workbook is damaged or of a kind that cannot be read.") from error
    limits.check_shape(table.height, table.width)
    return _settled(table), name


def _choose_sheet(book: Any, sheet: str, notes: list[str]) -> str:
    names: list[str] = list(book.sheet_names)
    if sheet:
        if sheet not in names:
            raise unreadable(
                f"There is no worksheet '{sheet}'; there are {', '.join(names[:20])}.", sheets=names[:100]
            )
        return sheet
    filled = [
        name for name in names
        if (loaded := book.load_sheet(name, header_row=None, n_rows=1, dtypes="string")).visible == "visible"
        and loaded.total_height > 0
    ]  # fmt: skip
    if not filled:
        raise unreadable("The workbook is empty: no visible worksheet has any cells.")
    if len(filled) > 1:
        others = ", ".join(f"'{name}'" for name in filled[1:6])
        notes.append(f"The workbook has several worksheets; '{filled[0]}' was read, not {others}.")
    return filled[0]


def _settled(table: pl.DataFrame) -> pl.DataFrame:
    """Floats that are all whole become integers, moments that are all midnight dates."""
    import polars as pl

    columns = []
    for series in table.get_columns():
        known = series.drop_nulls()
        if series.dtype.is_float() and len(known) and bool(((known % 1 == 0) & (known.abs() < 2**53)).all()):
            series = series.cast(pl.Int64)
        elif (
            isinstance(series.dtype, pl.Datetime)
            and len(known)
            and bool((known.dt.time() == datetime.time(0)).all())
        ):
            series = series.cast(pl.Date)
        columns.append(series)
    return pl.DataFrame(columns)


def excel_columns(table: pl.DataFrame, notes: list[str]) -> list[Column]:
    """The columns of a worksheet as they will be stored."""
    import polars as pl

    for series in table.get_columns():
        resembles = lookalike(series.drop_nulls().str.strip_chars()) if series.dtype == pl.String else ""
        if resembles:
            notes.append(resemblance_note(series.name, resembles))
    return [Column(name, target_kind(name, dtype, notes)) for name, dtype in table.schema.items()]
