"""Program of the job deployments.import_events: a file of past inferences becomes Parquet segments.

The file (CSV, TSV, JSON lines or Parquet, each also gzipped) has the columns timestamp, prediction, optionally
label and model, and one column per feature of the model. Other columns are ignored and named in the log.
"""

from __future__ import annotations

import datetime
import gzip
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apps.deployments import layout
from apps.deployments.sandbox.event_values import as_answer, as_feature, as_time
from foundation.tasks import Context, UserError

MAX_ROWS = 20_000_000
SEGMENT_ROWS = 200_000
GZIP_LIMIT = 8 * 1024**3


def main(ctx: Context) -> dict[str, Any]:
    """payload: filename, columns [{name, type, required}], classes (of a classifier), numbers (whether the model
    predicts numbers), now (RFC 3339). inputs: file. Returns {"rows",
    "labelled", "start", "end" (RFC 3339), "segments": [{"file", "rows", "start", "end"}]}."""
    import polars as pl

    ctx.progress(0, 3, "Reading the file")
    classes = list(ctx.payload.get("classes", ()))
    texts = [column["name"] for column in ctx.payload["columns"] if column["type"] == "string"]
    if any(isinstance(name, str) for name in classes):
        texts += ["prediction", "label"]
    frame = read_frame(ctx.inputs["file"], str(ctx.payload["filename"]), ctx.folder, texts=texts)
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
    time = as_time(frame["timestamp"], "timestamp", now=datetime.datetime.fromisoformat(ctx.payload["now"]))
    made: dict[str, pl.Series] = {layout.TIME: time}
    for name, kind, required in columns:
        made[name] = as_feature(frame[name], name, kind, required)
    numbers = bool(ctx.payload.get("numbers"))
    answers = {
        name: as_answer(frame[name], name, required=name == "prediction", classes=classes, numbers=numbers)
        for name in ("prediction", "label")
        if name in frame.columns
    }
    made[layout.PREDICTION] = answers["prediction"]
    labels = answers.get("label")
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


def read_frame(path: Path, filename: str, folder: Path, *, texts: Sequence[str] = ()) -> Any:
    """The file as a data frame. texts: columns of a CSV that are text even where they look like numbers: "007"
    keeps its zeros. Raises UserError "events.unreadable" or "events.format"."""
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
            found = pl.read_csv(path, separator=separator, n_rows=0).columns
            return pl.read_csv(
                path,
                separator=separator,
                infer_schema_length=None,
                try_parse_dates=False,
                schema_overrides={text: pl.String for text in texts if text in found},
            )
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
