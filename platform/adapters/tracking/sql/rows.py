"""The few ways in which the modules of this package run SQL."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from django.db import connection

from foundation.clock import now


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


# Clients may log any 64-bit number as a time; what lies outside of these is no time that anybody can read.
_EARLIEST, _LATEST = -(2**41), 2**47  # about the years 1900 and 6429


def moment(value: int | None) -> datetime.datetime | None:
    """An aware UTC time from MLflow's milliseconds; None for a number that is no sensible time."""
    if value is None or not _EARLIEST < value < _LATEST:
        return None
    return datetime.datetime.fromtimestamp(value / 1000, datetime.UTC)
