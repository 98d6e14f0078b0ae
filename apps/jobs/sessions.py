"""Database sessions of our own, outside Django's pool: they hold LISTEN or advisory locks while they live."""

from __future__ import annotations

from typing import Any

from django.db import connection


def open_session() -> Any:
    """A psycopg connection with autocommit to the studio's database.

    Raises ConnectionError when it does not answer.
    """
    import psycopg

    options = dict(connection.get_connection_params())
    for name in ("pool", "cursor_factory", "context", "prepare_threshold"):
        options.pop(name, None)
    try:
        return psycopg.connect(**options, autocommit=True)
    except psycopg.OperationalError as error:
        raise ConnectionError(str(error).strip()) from None
