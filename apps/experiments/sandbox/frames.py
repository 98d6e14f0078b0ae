"""Reads the Parquet parts of a dataset version into pandas with predictable dtypes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from foundation.tasks import UserError

#: Kinds a column can have before its values are looked at.
UNSUPPORTED = "unsupported"


def read_table(parts: Iterable[Path]) -> pa.Table:
    """All rows of the parts, in the order of their names, as one Arrow table.

    Raises UserError "dataset.empty" when there is no part or no row.
    """
    tables = [pq.read_table(part) for part in parts]
    if not tables:
        raise UserError("The dataset version holds no data.", code="dataset.empty")
    table = pa.concat_tables(tables, promote_options="permissive")
    if table.num_rows == 0:
        raise UserError("The dataset version has no rows.", code="dataset.empty")
    return table


def column_kind(kind: pa.DataType) -> str:
    """numeric, boolean, string, date or unsupported, from the Arrow type."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "numeric"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "date"
    if pa.types.is_dictionary(kind):
        return column_kind(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_time(kind) or pa.types.is_null(kind):
        return "string"
    return UNSUPPORTED


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The table as pandas: whole numbers int64 (float64 where some are missing), other numbers float64,
    booleans bool (object with None where some are missing), strings object with None, dates
    datetime64[ns] in UTC without zone. Columns of unsupported type are left out.
    """
    columns: dict[str, pd.Series] = {}
    for name in table.column_names:
        column = table.column(name)
        kind = column_kind(column.type)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if kind == "numeric":
            whole = pa.types.is_integer(column.type) and column.null_count == 0
            columns[name] = column.cast(pa.int64() if whole and _fits(column) else pa.float64()).to_pandas()
        elif kind == "boolean":
            columns[name] = column.to_pandas()
        elif kind == "date":
            stamps = pd.to_datetime(
                pd.Series(column.to_pandas(date_as_object=False)), errors="coerce", utc=True
            )
            columns[name] = stamps.dt.tz_localize(None).astype("datetime64[ns]")
        elif kind == "string":
            columns[name] = pd.Series(column.cast(pa.large_string()).to_pylist(), dtype=object)
    return pd.DataFrame(columns)


def _fits(column: pa.ChunkedArray) -> bool:
    """Unsigned 64-bit numbers can be too large for int64."""
    if not pa.types.is_uint64(column.type):
        return True
    import pyarrow.compute as pc

    top = pc.max(column).as_py()
    return top is None or top < 2**63
