"""JSON lines: one object per line, columns in the order in which they first appear, a missing key is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apps.datasets.sandbox.columns import checked_names
from apps.datasets.sandbox.infer import ColumnType
from apps.datasets.sandbox.limits import Limits, too_large, unreadable
from apps.datasets.sandbox.text import Text
from foundation.tasks import UserError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 50_000
BATCH_BYTES = 8 * 1024 * 1024
# A JSON string is text, except that JSON has no other way to write a date.
DATES = ("date", "datetime")


@dataclass
class Shape:
    """Rows and columns found so far, and what the columns hold."""

    rows: int = 0
    columns: dict[str, ColumnType] = field(default_factory=dict)


def batches(
    text: Text, shape: Shape, limits: Limits, progress: Callable[[int], None] = lambda _: None
) -> Iterator[pa.RecordBatch]:
    """The data as record batches of strings (numbers and booleans written as JSON writes them, lists and objects
    as JSON text), with `shape` filled on the way. A later batch may have more columns than an earlier one.

    Raises UserError with the line for anything that is not one object per line.
    """
    rows: list[tuple[int, dict[str, Any]]] = []
    size = 0
    for number, line, position in _lines(text, limits):
        rows.append((number, _object(line, number)))
        size += len(line)
        if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
            progress(position)
            yield _batch(rows, shape, limits)
            rows, size = [], 0
    if rows:
        yield _batch(rows, shape, limits)


def _lines(text: Text, limits: Limits) -> Iterator[tuple[int, bytes, int]]:
    with text.path.open("rb") as reading:
        reading.seek(text.skip)
        position = text.skip
        number = 0
        while line := reading.readline(limits.line_bytes + 1):
            number += 1
            position += len(line)
            if len(line) > limits.line_bytes:
                raise too_large(
                    f"Line {number:,} is longer than {limits.line_bytes:,} bytes, which is the limit.",
                    "line_bytes",
                    limits.line_bytes,
                )
            if line.strip():
                yield number, line, position


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except RecursionError as error:
        raise unreadable(f"Line {number:,} is nested too deeply.", line=number) from error
    except ValueError as error:
        if line.lstrip().startswith(b"[") and number == 1:
            raise _array() from error
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "a number has too many digits"
        raise unreadable(
            f"Line {number:,} is not valid JSON ({reason}); JSON lines needs one whole object on each line.",
            line=number,
        ) from error
    if isinstance(found, dict):
        return found
    if isinstance(found, list) and number == 1:
        raise _array()
    raise unreadable(
        f"Line {number:,} holds {_kind_of(found)[1]}, not an object; JSON lines needs one object on each line.",
        line=number,
    )


def _array() -> UserError:
    return unreadable(
        "The file is a JSON array; JSON lines needs one object on each line, without brackets or commas around them.",
        line=1,
    )


def _kind_of(value: Any) -> tuple[str, str]:
    if isinstance(value, bool):
        return "boolean", "a boolean"
    if isinstance(value, int):
        return ("integer" if -(2**63) <= value < 2**63 else "string"), "a number"
    if isinstance(value, float):
        return "float", "a number"
    if isinstance(value, str):
        return "text", "a text"
    return "string", "a list" if isinstance(value, list) else "a null" if value is None else "an object"


def _written(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _batch(rows: list[tuple[int, dict[str, Any]]], shape: Shape, limits: Limits) -> pa.RecordBatch:
    import polars as pl
    import pyarrow as pa

    done = shape.rows
    shape.rows += len(rows)
    for number, row in rows:
        for key in row:
            if key not in shape.columns:
                shape.columns[key] = ColumnType()
                if len(shape.columns) > limits.columns:
                    raise too_large(
                        f"By line {number:,} there are more than {limits.columns:,} columns, which is the limit.",
                        "columns",
                        limits.columns,
                    )
    arrays = []
    for name, column in shape.columns.items():
        cells = [row.get(name) for _, row in rows]
        kinds = {_kind_of(cell)[0] for cell in cells if cell is not None}
        for kind in sorted(kinds - {"text"}):
            at = next(i for i, cell in enumerate(cells) if cell is not None and _kind_of(cell)[0] == kind)
            column.observe_kind(kind, done + at + 1, str(_written(cells[at])))
        texts = [_written(cell) for cell in cells]
        if "text" in kinds:
            if kinds != {"text"}:
                at = next(i for i, cell in enumerate(cells) if isinstance(cell, str))
                column.observe_kind("string", done + at + 1, str(cells[at]))
            else:
                column.observe(pl.Series(texts, dtype=pl.String), done + 1, among=DATES)
        arrays.append(pa.array(texts, type=pa.string()))
    return pa.RecordBatch.from_arrays(arrays, names=list(shape.columns))


def final_names(shape: Shape, limits: Limits, notes: list[str]) -> list[str]:
    """The column names, checked as those of any other table."""
    return checked_names(list(shape.columns), limits, notes)
