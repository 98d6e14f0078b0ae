"""The few ways in which the modules of this package run SQL, and the limits of MLflow's columns."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

from django.db import connection

from foundation.clock import now
from foundation.errors import Invalid

KEY_LIMIT = 250
PARAM_LIMIT = 6000
TAG_LIMIT = 8000
RUN_ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"[\w.\-/ :]+")


def fetch_all(sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def fetch_one(sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...] | None:
    """The first row of a query, or None."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def execute(sql: str, params: Sequence[Any] = ()) -> int:
    """Run a statement; the number of rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def millis() -> int:
    """Now, in milliseconds since 1970, as MLflow's time columns hold it."""
    return int(now().timestamp() * 1000)


def moment(value: int | None) -> datetime.datetime | None:
    """An aware UTC time from MLflow's milliseconds."""
    if value is None:
        return None
    return datetime.datetime.fromtimestamp(value / 1000, datetime.UTC)


def check_key(key: str, what: str) -> str:
    """A parameter, metric or tag name that MLflow's columns and clients accept. Raises Invalid."""
    if not key or len(key) > KEY_LIMIT or not _KEY.fullmatch(key):
        raise Invalid(
            "tracking.bad_key",
            f"The {what} name {key[:60]!r} cannot be logged: 1 to {KEY_LIMIT} letters, digits and _ - . / : or space.",
        )
    return key


def check_value(value: object, what: str, key: str, limit: int) -> str:
    """The text form of a value, Python's str(). Raises Invalid when it is too long or holds a NUL."""
    text = str(value)
    if len(text) > limit or "\x00" in text:
        raise Invalid(
            "tracking.bad_value",
            f"The value of {what} {key!r} has {len(text)} characters (at most {limit}) or a NUL character.",
        )
    return text
