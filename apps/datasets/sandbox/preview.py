"""The first rows as JSON, for people: every cell short enough for a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.datasets.sandbox.columns import type_name
from apps.datasets.sandbox.limits import Limits

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

CELL_CHARACTERS = 200
CELLS = 40_000


def preview_of(part: Path, schema: pa.Schema, limits: Limits) -> dict[str, Any]:
    """{columns: [{name, type}], rows: [[cell]]}: the first 100 rows (fewer when there are very many columns).

    Numbers and booleans are themselves, dates ISO 8601, texts cut after 200 characters with an ellipsis,
    infinities the words "inf" and "-inf", missing values null.
    """
    import polars as pl
    import pyarrow.parquet as pq

    wanted = max(5, min(limits.preview_rows, CELLS // max(1, len(schema))))
    batch = next(pq.ParquetFile(part).iter_batches(batch_size=wanted))
    columns = []
    for name, array in zip(schema.names, batch.columns, strict=True):
        columns.append(_cells(pl.Series(name, array)))
    return {
        "columns": [{"name": field.name, "type": type_name(field.type)} for field in schema],
        "rows": [list(row) for row in zip(*columns, strict=True)],
    }


def _cells(values: pl.Series) -> list[Any]:
    import polars as pl

    dtype = values.dtype
    if dtype == pl.Date:
        return values.dt.strftime("%Y-%m-%d").to_list()
    if isinstance(dtype, pl.Datetime):
        return values.dt.strftime("%Y-%m-%dT%H:%M:%S%.f" + ("Z" if dtype.time_zone else "")).to_list()
    if dtype == pl.Time:
        return values.dt.strftime("%H:%M:%S%.f").to_list()
    if dtype.is_float():
        return [cell if cell is None or abs(cell) != float("inf") else str(cell) for cell in values.to_list()]
    if dtype == pl.String:
        return [shorten(cell) for cell in values.to_list()]
    return values.to_list()


def shorten(cell: str | None, limit: int = CELL_CHARACTERS) -> str | None:
    """At most `limit` characters, the last an ellipsis when something was cut."""
    return cell if cell is None or len(cell) <= limit else cell[: limit - 1] + "…"
