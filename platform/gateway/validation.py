"""Checks a prediction request against the deployed model's signature. Messages name the record and the column."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any

from foundation.errors import Invalid, TooLarge
from gateway.ports import Column, Signature

MAX_PROBLEMS = 20
"""How many problems one answer lists; the rest is counted."""

FIRST_YEAR, LAST_YEAR = 1678, 2261
"""The years that the data frames of models can hold (64 bits of nanoseconds)."""

_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "datetime": f"a date or time such as 2026-01-31T12:00:00Z, from {FIRST_YEAR} to {LAST_YEAR}",
}


class _Wrong(Exception):
    """The value does not fit its column."""


def _integer(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    raise _Wrong


def _number(value: Any) -> Any:
    if isinstance(value, float):
        if math.isfinite(value):
            return value
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1000:
        return value
    raise _Wrong


def _string(value: Any) -> Any:
    if isinstance(value, str) and "\x00" not in value and (value.isascii() or _encodable(value)):
        return value
    raise _Wrong


def _encodable(text: str) -> bool:
    """False for half a surrogate pair, which JSON can smuggle in and no file format can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    raise _Wrong


def _datetime(value: Any) -> Any:
    if isinstance(value, str):
        try:
            moment = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise _Wrong from None
        if FIRST_YEAR <= moment.year <= LAST_YEAR:
            return moment.isoformat()  # one of the many ISO 8601 forms, which every library reads
    raise _Wrong


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "boolean": _boolean,
    "datetime": _datetime,
}


class _Problems:
    """Collects what is wrong, up to MAX_PROBLEMS in full."""

    def __init__(self) -> None:
        self.listed: list[dict[str, Any]] = []
        self.count = 0

    def add(self, record: int, column: str, kind: str, sentence: str) -> None:
        self.count += 1
        if len(self.listed) < MAX_PROBLEMS:
            self.listed.append({"record": record, "column": column, "problem": kind, "message": sentence})

    def raise_if_any(self) -> None:
        if not self.count:
            return
        first = self.listed[0]["message"]
        rest = self.count - 1
        more = f" ({rest:,} more problem{'s' if rest > 1 else ''})" if rest else ""
        raise Invalid("predict.invalid", f"{first}{more}", {"problems": self.listed, "count": self.count})


def read_rows(payload: Any, signature: Signature, *, limit: int) -> list[list[Any]]:
    """The rows of a request, checked, in the order of the signature's columns.

    payload: {"records": [{column: value}]} or {"rows": [[…]], "columns"?: […]}; limit: rows allowed. Raises
    Invalid "predict.shape" or "predict.invalid" (detail: problems with record index, column and kind
    missing / extra / null / mistyped), TooLarge "predict.too_many".
    """
    if not isinstance(payload, dict) or ("records" in payload) == ("rows" in payload):
        raise Invalid(
            "predict.shape",
            'Send either {"records": [{column: value}, …]} or {"rows": [[…], …], "columns": […]}.',
        )
    key = "records" if "records" in payload else "rows"
    unknown = sorted(set(payload) - ({"records"} if key == "records" else {"rows", "columns"}))
    if unknown:
        raise Invalid("predict.shape", f"'{unknown[0][:60]}' is not a field of a prediction request.")
    items = payload[key]
    if not isinstance(items, list) or not items:
        raise Invalid("predict.shape", f"'{key}' must be a list with at least one entry.")
    if len(items) > limit:
        raise TooLarge(
            "predict.too_many",
            f"{len(items):,} {key} were sent; {limit:,} are allowed in one request.",
            {"limit": limit},
        )
    if key == "records":
        return _from_records(items, signature)
    return _from_rows(items, payload.get("columns"), signature)


def _from_records(records: list[Any], signature: Signature) -> list[list[Any]]:
    columns = signature.columns
    names = {column.name for column in columns}
    problems = _Problems()
    rows = []
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            problems.add(
                index, "", "mistyped", f"Record {index} is not an object of column names and values."
            )
            continue
        if len(record) != len(names) or record.keys() != names:
            _compare_names(index, record, columns, names, problems)
        rows.append(
            [
                _value(index, column, record.get(column.name), column.name in record, problems)
                for column in columns
            ]
        )
    problems.raise_if_any()
    return rows


def _compare_names(
    index: int, record: Mapping[str, Any], columns: tuple[Column, ...], names: set[str], problems: _Problems
) -> None:
    for column in columns:
        if column.required and column.name not in record:
            problems.add(index, column.name, "missing", f"Record {index}: column '{column.name}' is missing.")
    for name in record:
        if name not in names:
            problems.add(
                index,
                str(name)[:120],
                "extra",
                f"Record {index}: the model has no column '{str(name)[:120]}'.",
            )


def _from_rows(items: list[Any], given: Any, signature: Signature) -> list[list[Any]]:
    columns = signature.columns
    names = [column.name for column in columns]
    problems = _Problems()
    where: list[int | None] = list(range(len(columns)))
    width = len(columns)
    if given is not None:
        if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
            raise Invalid("predict.shape", "'columns' must be a list of column names.")
        if len(set(given)) != len(given):
            raise Invalid("predict.shape", "'columns' names a column twice.")
        width = len(given)
        for column in columns:
            if column.required and column.name not in given:
                problems.add(0, column.name, "missing", f"Column '{column.name}' is missing.")
        for name in given:
            if name not in names:
                problems.add(0, name[:120], "extra", f"The model has no column '{name[:120]}'.")
        problems.raise_if_any()
        places = {name: i for i, name in enumerate(given)}
        where = [places.get(name) for name in names]
    rows = []
    for index, item in enumerate(items):
        if not isinstance(item, list) or len(item) != width:
            found = f"{len(item)} values" if isinstance(item, list) else "no list"
            problems.add(index, "", "mistyped", f"Row {index} has {found}; {width} are expected.")
            continue
        rows.append(
            [
                _value(index, column, None if place is None else item[place], place is not None, problems)
                for column, place in zip(columns, where, strict=True)
            ]
        )
    problems.raise_if_any()
    return rows


def _value(index: int, column: Column, value: Any, present: bool, problems: _Problems) -> Any:
    if value is None:
        if column.required and present:
            problems.add(
                index, column.name, "null", f"Record {index}: column '{column.name}' may not be null."
            )
        return None
    try:
        return _CHECKS[column.type](value)
    except _Wrong:
        shown = _show(value)
        problems.add(
            index,
            column.name,
            "mistyped",
            f"Record {index}: column '{column.name}' must be {_WORDS[column.type]}, not {shown}.",
        )
        return None


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
