"""Program of the job deployments.import_events: a file of past inferences becomes Parquet segments.

The file (CSV, TSV, JSON lines or Parquet, each also gzipped) has the columns timestamp, prediction, optionally
label and model, and one column per feature of the model. Other columns are ignored and named in the log.
"""

from __future__ import annotations

import datetime
import gzip
import os
import uuid
from pathlib import Path
from typing import Any

from apps.deployments import layout
from foundation.tasks import Context, UserError

MAX_ROWS = 20_000_000
SEGMENT_ROWS = 200_000
GZIP_LIMIT = 8 * 1024**3


def main(ctx: Context) -> dict[str, Any]:
    """payload: filename, columns [{name, type, required}], classes, task. inputs: file. Returns {"rows",
    "labelled", "start", "end" (RFC 3339), "segments": [{"file", "rows", "start", "end"}]}."""
    import polars as pl

    ctx.progress(0, 3, "Reading the file")
    frame = read_frame(ctx.inputs["file"], str(ctx.payload["filename"]), ctx.folder)
    if frame.height == 0:
        raise UserError("The file has no rows.", code="events.empty")
    if frame.height > MAX_ROWS:
        raise UserError(
            f"The file has {frame.height:,} rows; {MAX_ROWS:,} are allowed.", code="events.too_many"
        )
    columns = [
        (column["name"], column["type"], bool(column["required"])) for column in ctx.payload["columns"]
    ]
    check_names(frame.columns, columns)
    known = {"timestamp", "prediction", "label", "model", *(name for name, _, _ in columns)}
    for name in frame.columns:
        if name not in known:
            ctx.log.info("column '%s' is neither a feature of the model nor a system column: ignored", name)
    ctx.progress(1, 3, f"Checking {frame.height:,} rows")
    time = as_time(frame["timestamp"], "timestamp")
    made: dict[str, pl.Series] = {layout.TIME: time}
    for name, kind, required in columns:
        made[name] = as_feature(frame[name], name, kind, required)
    made[layout.PREDICTION] = as_answer(frame["prediction"], "prediction", required=True)
    labels = as_answer(frame["label"], "label", required=False) if "label" in frame.columns else None
    if labels is not None:
        made[layout.LABEL] = labels
    if "model" in frame.columns:
        made[layout.MODEL] = frame["model"].cast(pl.String, strict=False)
    table = pl.DataFrame(made).sort(layout.TIME)
    ctx.progress(2, 3, "Writing segments")
    parts = list(write_segments(table, [(name, kind) for name, kind, _ in columns], ctx.outputs))
    labelled = 0 if labels is None else table.height - int(labels.null_count())
    ctx.log.info("read %d events, %d of them with a label", table.height, labelled)
    return {
        "rows": table.height,
        "labelled": labelled,
        "start": parts[0]["start"],
        "end": max(part["end"] for part in parts),
        "segments": parts,
    }


def read_frame(path: Path, filename: str, folder: Path) -> Any:
    """The file as a data frame. Raises UserError "events.unreadable" or "events.format"."""
    import polars as pl

    name = filename.lower()
    if name.endswith(".gz"):
        path, name = _gunzip(path, folder / "plain"), name[:-3]
    if path.stat().st_size == 0:
        raise UserError("The file is empty.", code="events.empty")
    try:
        if name.endswith((".parquet", ".pq")):
            return pl.read_parquet(path)
        if name.endswith((".jsonl", ".ndjson", ".json")):
            return pl.read_ndjson(path, infer_schema_length=None)
        if name.endswith((".csv", ".tsv", ".txt")):
            separator = "\t" if name.endswith(".tsv") else ","
            return pl.read_csv(path, separator=separator, infer_schema_length=None, try_parse_dates=False)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"The file cannot be read: {first[:300]}", code="events.unreadable") from error
    raise UserError(
        f"'{filename}' is none of the formats that can be imported: .csv, .tsv, .jsonl, .parquet, each also .gz.",
        code="events.format",
    )


def _gunzip(path: Path, target: Path) -> Path:
    try:
        with gzip.open(path, "rb") as source, target.open("wb") as sink:
            while chunk := source.read(1 << 20):
                sink.write(chunk)
                if sink.tell() > GZIP_LIMIT:
                    raise UserError("The unpacked file is larger than 8 GiB.", code="events.too_large")
    except (OSError, EOFError) as error:
        raise UserError("The file ends in .gz but is not valid gzip.", code="events.unreadable") from error
    return target


def check_names(found: list[str], columns: list[tuple[str, str, bool]]) -> None:
    """Raises UserError "events.columns" naming what is missing."""
    wanted = ["timestamp", "prediction", *(name for name, _, _ in columns)]
    missing = [name for name in wanted if name not in found]
    if missing:
        listed = ", ".join(f"'{name}'" for name in missing[:10])
        raise UserError(
            f"The file lacks the column{'s' if len(missing) > 1 else ''} {listed}"
            f"{' and others' if len(missing) > 10 else ''}.",
            code="events.columns",
            detail={"missing": missing},
        )


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


def as_time(series: Any, name: str) -> Any:
    """Times in UTC to the millisecond: ISO 8601 text (without offset = UTC), dates, or Unix seconds."""
    import polars as pl

    utc = pl.Datetime("us", "UTC")
    if series.dtype == pl.Date:
        after = series.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    elif isinstance(series.dtype, pl.Datetime):
        zone = series.dtype.time_zone
        after = series.dt.convert_time_zone("UTC") if zone else series.dt.replace_time_zone("UTC")
    elif series.dtype.is_numeric():
        after = (
            (series.cast(pl.Float64) * 1_000_000)
            .cast(pl.Int64)
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone("UTC")
        )
    else:
        after = pl.Series(name, [_parse_time(v, name, i) for i, v in enumerate(series.to_list())], dtype=utc)
    after = _checked(series, after.cast(utc), name, "a time", True)
    if (after.dt.year() < 1970).any() or (after.dt.year() > 2200).any():
        raise UserError("The column 'timestamp' holds times before 1970 or after 2200.", code="events.value")
    return after.dt.truncate("1ms").rename(layout.TIME)


def _parse_time(value: Any, name: str, index: int) -> datetime.datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise _fail(name, index, value, "a time such as 2026-01-31T12:00:00Z") from None


def as_feature(series: Any, name: str, kind: str, required: bool) -> Any:
    """A feature column in its type of the signature."""
    import polars as pl

    if kind == "datetime":
        return _feature_time(series, name, required)
    if kind == "boolean" and series.dtype != pl.Boolean:
        words = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
        text = series.cast(pl.String).str.to_lowercase()
        after = text.replace_strict(words, default=None, return_dtype=pl.Boolean)
        return _checked(series, after, name, "true or false", required)
    target = {"integer": pl.Int64, "number": pl.Float64, "string": pl.String, "boolean": pl.Boolean}[kind]
    words_of = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
    }
    if kind == "integer" and series.dtype.is_float():
        whole = series.is_null() | (series == series.round())
        if not whole.all():
            index = int((~whole).arg_true()[0])
            raise _fail(name, index, series[index], "a whole number")
    return _checked(series, series.cast(target, strict=False), name, words_of[kind], required)


def _feature_time(series: Any, name: str, required: bool) -> Any:
    import polars as pl

    if series.dtype == pl.String:
        values = [_parse_time(v, name, i) for i, v in enumerate(series.to_list())]
        series = pl.Series(name, values, dtype=pl.Datetime("us", "UTC"))
    elif series.dtype == pl.Date or (isinstance(series.dtype, pl.Datetime) and not series.dtype.time_zone):
        series = series.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return _checked(series, series.cast(pl.Datetime("us", "UTC"), strict=False), name, "a time", required)


def as_answer(series: Any, name: str, *, required: bool) -> Any:
    """Predictions or labels: kept as numbers, booleans or text."""
    import polars as pl

    if series.dtype.is_integer():
        series = series.cast(pl.Int64)
    elif series.dtype.is_float():
        series = series.cast(pl.Float64)
    elif series.dtype not in (pl.Boolean, pl.String):
        series = series.cast(pl.String, strict=False)
    return _checked(series, series, name, "a value", required)


def write_segments(table: Any, columns: list[tuple[str, str]], outputs: Path) -> Any:
    """One Parquet file per month and SEGMENT_ROWS rows, in the layout of recorded inferences. Yields its
    {"file", "rows", "start", "end"}."""
    import polars as pl

    months = table.with_columns(pl.col(layout.TIME).dt.strftime("%Y-%m").alias("__month"))
    for part in months.partition_by("__month", maintain_order=True, include_key=False):
        for offset in range(0, part.height, SEGMENT_ROWS):
            yield _write(part.slice(offset, SEGMENT_ROWS), columns, outputs)


def _write(part: Any, columns: list[tuple[str, str]], outputs: Path) -> dict[str, Any]:
    import polars as pl

    times = part[layout.TIME]
    answer = part[layout.PREDICTION]
    label = (
        part[layout.LABEL]
        if layout.LABEL in part.columns
        else pl.Series([None] * part.height, dtype=answer.dtype)
    )
    model = part[layout.MODEL] if layout.MODEL in part.columns else pl.Series([""] * part.height)
    count = part.height
    shaped = pl.DataFrame(
        {
            layout.ID: ids_at(times.dt.epoch("ms").to_list()),
            layout.TIME: times,
            layout.ORIGIN: ["import"] * count,
            layout.REVISION: pl.Series([0] * count, dtype=pl.Int32),
            layout.MODEL: model.fill_null(""),
            layout.PREDICTION: answer,
            layout.PROBABILITIES: pl.Series([None] * count, dtype=pl.List(pl.Float64)),
            layout.LABEL: label,
            layout.LATENCY: pl.Series([None] * count, dtype=pl.Float32),
            layout.REQUEST: pl.Series([None] * count, dtype=pl.String),
            **{name: part[name] for name, _ in columns},
        }
    )
    file = f"{uuid.uuid4().hex}.parquet"
    shaped.write_parquet(outputs / file, compression="zstd")
    return {"file": file, "rows": count, "start": times.min().isoformat(), "end": times.max().isoformat()}


def ids_at(milliseconds: list[int]) -> list[str]:
    """UUIDv7s for given times: 48 bits of milliseconds, a counter that keeps the order, random bits."""
    noise = os.urandom(8 * len(milliseconds))
    made = []
    for index, moment in enumerate(milliseconds):
        low = int.from_bytes(noise[8 * index : 8 * index + 8], "big") & ((1 << 62) - 1)
        value = (moment << 80) | (0x7 << 76) | ((index & 0xFFF) << 64) | (0b10 << 62) | low
        made.append(str(uuid.UUID(int=value)))
    return made
