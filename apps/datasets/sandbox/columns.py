"""Names of columns, and the small vocabulary of types: how each is stored and how foreign types come into it.

integer (int64) · float (float64) · boolean · string (UTF-8) · date (date32) · datetime (microseconds, naive or
UTC) · time (microseconds of a day). Lists and structs become JSON text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apps.datasets.sandbox.limits import Limits, unreadable

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

TYPES = ("integer", "float", "boolean", "string", "date", "datetime", "time")


def checked_names(raw: list[str], limits: Limits, notes: list[str]) -> list[str]:
    """Column names as they will be used: trimmed, the nameless ones called column_N (with a note).

    Raises UserError for duplicates, names that are too long or hold control characters, and no name at all.
    """
    limits.check_shape(0, len(raw))
    names = [name.strip().removeprefix("\ufeff").strip() for name in raw]
    if not any(names):
        raise unreadable("The header is empty: no column has a name.", line=1)
    taken = set(names)
    for index, name in enumerate(names):
        if not name:
            names[index] = _free(f"column_{index + 1}", taken)
            taken.add(names[index])
            notes.append(f"Column {index + 1} has no name in the file; it is called '{names[index]}'.")
        elif len(name) > limits.name_length:
            raise unreadable(
                f"The name of column {index + 1} has {len(name)} characters; {limits.name_length} are allowed.",
                line=1,
            )
        elif any(ord(character) < 32 or ord(character) == 127 for character in name):
            raise unreadable(
                f"The name of column {index + 1} holds a line break or control character.", line=1
            )
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            raise unreadable(
                f"Two columns are called '{name}' (columns {seen[name] + 1} and {index + 1}); names must differ.",
                line=1,
                column=name,
            )
        seen[name] = index
    return names


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def type_name(arrow_type: pa.DataType) -> str:
    """The word for a stored Arrow type."""
    import pyarrow as pa

    if pa.types.is_int64(arrow_type):
        return "integer"
    if pa.types.is_float64(arrow_type):
        return "float"
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if pa.types.is_date32(arrow_type):
        return "date"
    if pa.types.is_timestamp(arrow_type):
        return "datetime"
    return "time" if pa.types.is_time64(arrow_type) else "string"


def stored_type(kind: str) -> pa.DataType:
    """The Arrow type in which a settled kind (a word of TYPES, or datetime_utc) is stored."""
    import pyarrow as pa

    return {
        "integer": pa.int64(),
        "float": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us"),
        "datetime_utc": pa.timestamp("us", tz="UTC"),
        "time": pa.time64("us"),
    }.get(kind, pa.string())


def target_kind(name: str, dtype: Any, notes: list[str]) -> str:
    """The kind in which a column of a polars type is stored. Notes say what a lossy change means.

    Raises UserError for raw binary, which is no value of a table.
    """
    import polars as pl

    if dtype.is_integer():
        return "float" if dtype in (pl.UInt64, pl.Int128) else "integer"
    if dtype.is_float():
        return "float"
    if dtype.is_decimal():
        notes.append(f"Column '{name}' holds decimals, which are kept as floating-point numbers.")
        return "float"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype == pl.Date:
        return "date"
    if isinstance(dtype, pl.Datetime):
        return "datetime_utc" if dtype.time_zone else "datetime"
    if dtype == pl.Time:
        return "time"
    if isinstance(dtype, pl.Duration):
        notes.append(f"Column '{name}' holds durations, which are kept as seconds.")
        return "float"
    if dtype == pl.Binary:
        raise unreadable(
            f"Column '{name}' holds binary values, which are not values of a table.", column=name
        )
    if dtype.is_nested():
        notes.append(f"Column '{name}' holds lists or structures, which are kept as JSON text.")
    return "string"


def as_kind(values: pl.Series, kind: str) -> pl.Series:
    """A typed column in its stored kind: NaN and empty text are missing, -0.0 is 0.0.

    Raises UserError where a value does not fit (an integer beyond 64 bits in an integer column cannot happen:
    `target_kind` sends those to float).
    """
    import polars as pl

    dtype = values.dtype
    if kind == "integer":
        return values.cast(pl.Int64)
    if kind == "float":
        if isinstance(dtype, pl.Duration):
            values = values.dt.total_microseconds().cast(pl.Float64) / 1_000_000
        return values.cast(pl.Float64).fill_nan(None) + 0.0
    if kind == "boolean":
        return values.cast(pl.Boolean)
    if kind == "date":
        return values.cast(pl.Date)
    if kind == "time":
        return values.cast(pl.Time)
    if kind == "datetime":
        return values.cast(pl.Datetime("us"))
    if kind == "datetime_utc":
        return values.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    return _text(values)


def _text(values: pl.Series) -> pl.Series:
    import json

    import polars as pl

    if values.dtype == pl.Null:
        return values.cast(pl.String)
    if values.dtype.is_nested():
        rendered = [
            None if cell is None else json.dumps(cell, default=str, ensure_ascii=False)
            for cell in values.to_list()
        ]
        return pl.Series(values.name, rendered, dtype=pl.String)
    text = values.cast(pl.String)
    return pl.select(pl.when(text != "").then(text)).to_series().alias(values.name)
