"""How inferences lie in Parquet: system columns that begin with two underscores, then one column per feature.

Used by the sealer and by the import program in the sandbox; imports neither Django nor, at import, pyarrow.

| column | type | meaning |
|---|---|---|
| __id | string | inference id, a UUIDv7 whose time is the inference's |
| __time | timestamp (µs, UTC) | when it was predicted |
| __origin | string | predict or import |
| __revision | int32 | number of the revision, 0 for imports |
| __model | string | "churn/3"; "" when an import does not say |
| __prediction | float64, int64, bool or string | the prediction |
| __probabilities | list<float64> | in the order of the model's classes; null without |
| __label | as __prediction | the truth that came with an import; else null |
| __latency_ms | float32 | time the model process took for the request; null for imports |
| __request | string | request id |
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from typing import Any

PREFIX = "__"
ID = "__id"
TIME = "__time"
ORIGIN = "__origin"
REVISION = "__revision"
MODEL = "__model"
PREDICTION = "__prediction"
PROBABILITIES = "__probabilities"
LABEL = "__label"
LATENCY = "__latency_ms"
REQUEST = "__request"
SYSTEM = (ID, TIME, ORIGIN, REVISION, MODEL, PREDICTION, PROBABILITIES, LABEL, LATENCY, REQUEST)


def arrow_type(kind: str) -> Any:
    """The Arrow type of a signature column's type."""
    import pyarrow as pa

    return {
        "integer": pa.int64(),
        "number": pa.float64(),
        "string": pa.string(),
        "boolean": pa.bool_(),
        "datetime": pa.timestamp("us", tz="UTC"),
    }[kind]


def answer_kind(values: Sequence[Any]) -> str:
    """The narrowest of boolean, integer, number and string that holds all predictions (or labels)."""
    kinds = {
        "boolean"
        if isinstance(v, bool)
        else "integer"
        if isinstance(v, int)
        else "number"
        if isinstance(v, float)
        else "string"
        for v in values
        if v is not None
    }
    if not kinds:
        return "number"
    if len(kinds) == 1:
        return kinds.pop()
    return "number" if kinds <= {"integer", "number"} else "string"


def cast(value: Any, kind: str) -> Any:
    """One JSON value as its column's Python value; None stays None."""
    if value is None:
        return None
    if kind == "number":
        return float(value)
    if kind == "string":
        return value if isinstance(value, str) else str(value)
    if kind == "datetime":
        moment = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return value


def table_of(
    columns: Sequence[tuple[str, str]], features: Sequence[Sequence[Any]], system: dict[str, Sequence[Any]]
) -> Any:
    """An Arrow table of inferences.

    columns: (name, type) of the features; features: one sequence of values per feature; system: values of the
    system columns (missing ones become null). All sequences have the same length.
    """
    import pyarrow as pa

    count = len(system[ID])
    answer = arrow_type(answer_kind(system[PREDICTION]))
    label = arrow_type(answer_kind(system.get(LABEL) or system[PREDICTION]))
    types = {
        ID: pa.string(),
        TIME: pa.timestamp("us", tz="UTC"),
        ORIGIN: pa.string(),
        REVISION: pa.int32(),
        MODEL: pa.string(),
        PREDICTION: answer,
        PROBABILITIES: pa.list_(pa.float64()),
        LABEL: label,
        LATENCY: pa.float32(),
        REQUEST: pa.string(),
    }
    casts = {PREDICTION: _kind_of(answer), LABEL: _kind_of(label)}
    arrays, names = [], []
    for name, kind in types.items():
        values = system.get(name) or [None] * count
        if name in casts:
            values = [cast(v, casts[name]) for v in values]
        arrays.append(pa.array(values, type=kind))
        names.append(name)
    for (name, kind_name), values in zip(columns, features, strict=True):
        arrays.append(pa.array([cast(v, kind_name) for v in values], type=arrow_type(kind_name)))
        names.append(name)
    return pa.table(arrays, names=names)


def _kind_of(arrow: Any) -> str:
    import pyarrow as pa

    if pa.types.is_boolean(arrow):
        return "boolean"
    if pa.types.is_integer(arrow):
        return "integer"
    return "number" if pa.types.is_floating(arrow) else "string"


def id_range(start: datetime.datetime, end: datetime.datetime) -> tuple[uuid.UUID, uuid.UUID]:
    """The smallest UUIDv7 at or after each of two times: ids of inferences in [start, end) lie in [first, second)."""
    return _floor(start), _floor(end)


def _floor(moment: datetime.datetime) -> uuid.UUID:
    milliseconds = max(0, round(moment.timestamp() * 1000))
    return uuid.UUID(int=min(milliseconds, (1 << 48) - 1) << 80)


def time_of_id(inference: uuid.UUID) -> datetime.datetime:
    """The time in a UUIDv7, to the millisecond, in UTC."""
    return datetime.datetime.fromtimestamp((inference.int >> 80) / 1000, tz=datetime.UTC)
