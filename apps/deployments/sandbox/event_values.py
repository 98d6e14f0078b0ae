"""Columns of imported events in their types. What does not fit is refused in a sentence with column and row.

All functions take and return polars series and raise UserError "events.value".
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from apps.deployments import layout
from foundation.tasks import UserError

WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "datetime": "a time such as 2026-01-31T12:00:00Z",
}
EARLIEST = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
AHEAD = datetime.timedelta(days=1)
"""How far in the future an event may lie, for clocks and time zones that are set wrong."""


def _fail(name: str, index: int, value: Any, words: str) -> UserError:
    return UserError(
        f"Column '{name}', row {index + 1}: {str(value)[:60]!r} is not {words}.",
        code="events.value",
        detail={"column": name, "row": index + 1},
    )


def _checked(before: Any, after: Any, name: str, words: str, required: bool) -> Any:
    """The converted series, when nothing that had a value lost it, and required ones have one everywhere."""
    lost = (before.is_not_null() & after.is_null()).arg_true()
    if len(lost):
        raise _fail(name, int(lost[0]), before[int(lost[0])], words)
    if required and after.null_count():
        index = int(after.is_null().arg_true()[0])
        raise UserError(
            f"Column '{name}', row {index + 1}: the value is missing.",
            code="events.value",
            detail={"column": name, "row": index + 1},
        )
    return after


def _without(series: Any, mask: Any) -> Any:
    """The series with null where the mask is true."""
    import polars as pl

    return pl.select(
        pl.when(mask.fill_null(False)).then(None).otherwise(series).alias(series.name)
    ).to_series()


def as_time(series: Any, name: str, *, now: datetime.datetime) -> Any:
    """Times in UTC to the millisecond: ISO 8601 text (without offset = UTC), dates, or Unix seconds."""
    import polars as pl

    utc = pl.Datetime("us", "UTC")
    latest = now + AHEAD
    if series.dtype == pl.Date:
        after = series.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    elif isinstance(series.dtype, pl.Datetime):
        zone = series.dtype.time_zone
        after = series.dt.convert_time_zone("UTC") if zone else series.dt.replace_time_zone("UTC")
    elif series.dtype.is_numeric():
        seconds = series.cast(pl.Float64)
        # Milliseconds, the usual mistake, lie thousands of years ahead.
        seconds = _without(seconds, ~seconds.is_between(0, latest.timestamp()))
        _checked(series, seconds, name, "a time in Unix seconds between 1970 and now", True)
        after = (seconds * 1_000_000).cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    else:
        after = pl.Series(name, [_parse_time(v, name, i) for i, v in enumerate(series.to_list())], dtype=utc)
    after = after.cast(utc)
    inside = _without(after, ~after.is_between(pl.lit(EARLIEST), pl.lit(latest)))
    _checked(series, inside, name, "a time between 1970 and now", True)
    return after.dt.truncate("1ms").rename(layout.TIME)


def _parse_time(value: Any, name: str, index: int) -> datetime.datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise _fail(name, index, value, WORDS["datetime"]) from None


def as_feature(series: Any, name: str, kind: str, required: bool) -> Any:
    """A feature column in its type of the signature. NaN is a missing value, as everywhere in the studio."""
    import polars as pl

    if series.dtype.is_float():
        series = _without(series, series.is_nan())
    if kind == "datetime":
        return _feature_time(series, name, required)
    if kind == "boolean" and series.dtype != pl.Boolean:
        words = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
        text = series.cast(pl.String).str.to_lowercase()
        after = text.replace_strict(words, default=None, return_dtype=pl.Boolean)
        return _checked(series, after, name, WORDS[kind], required)
    if kind == "number":
        return _as_number(series, name, required)
    if kind == "integer" and series.dtype.is_float():
        whole = series.is_null() | (series == series.round())
        if not whole.all():
            index = int((~whole).arg_true()[0])
            raise _fail(name, index, series[index], WORDS[kind])
    target = {"integer": pl.Int64, "string": pl.String, "boolean": pl.Boolean}[kind]
    return _checked(series, series.cast(target, strict=False), name, WORDS[kind], required)


def _as_number(series: Any, name: str, required: bool) -> Any:
    import polars as pl

    after = series.cast(pl.Float64, strict=False)
    missing = after.is_nan().fill_null(False)
    series, after = _without(series, missing), _without(after, missing)
    return _checked(series, _without(after, after.is_infinite()), name, WORDS["number"], required)


def _feature_time(series: Any, name: str, required: bool) -> Any:
    import polars as pl

    if series.dtype == pl.String:
        values = [_parse_time(v, name, i) for i, v in enumerate(series.to_list())]
        series = pl.Series(name, values, dtype=pl.Datetime("us", "UTC"))
    elif series.dtype == pl.Date or (isinstance(series.dtype, pl.Datetime) and not series.dtype.time_zone):
        series = series.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return _checked(series, series.cast(pl.Datetime("us", "UTC"), strict=False), name, "a time", required)


def as_answer(series: Any, name: str, *, required: bool, classes: Sequence[Any], numbers: bool) -> Any:
    """Predictions or labels. With `classes` each must be one of them (1, 1.0 and "1" are one), with `numbers`
    a number; else they are kept as they are."""
    import polars as pl

    if series.dtype.is_float():
        series = _without(series, series.is_nan())
    if classes:
        known = {spelled: place for place, value in enumerate(classes) for spelled in _spellings(value)}
        text = series.cast(pl.String)
        text = text.str.replace(r"^(-?\d+)\.0+$", "${1}") if series.dtype.is_float() else text
        place = text.replace_strict(known, default=None, return_dtype=pl.Int32)
        listed = ", ".join(str(value) for value in classes[:10])
        _checked(series, place, name, f"one of the model's classes ({listed})", required)
        return pl.Series(name, classes).gather(place)
    if numbers:
        return _as_number(series, name, required)
    if series.dtype.is_integer():
        series = series.cast(pl.Int64)
    elif series.dtype.is_float():
        series = series.cast(pl.Float64)
    elif series.dtype not in (pl.Boolean, pl.String):
        series = series.cast(pl.String, strict=False)
    return _checked(series, series, name, "a value", required)


def _spellings(value: Any) -> set[str]:
    """The texts that stand for a class in a file."""
    if isinstance(value, bool):
        return {str(value), str(value).lower(), str(value).upper(), str(int(value))}
    if isinstance(value, int):
        flags = {1: {"true", "True"}, 0: {"false", "False"}}
        return {str(value), f"{value}.0", *flags.get(value, set())}
    if isinstance(value, float) and value.is_integer():
        return {str(value), str(int(value))}
    return {str(value)}
