"""Append-only tables partitioned by month (audit, job events, inference index).

PostgreSQL wants the partition key inside every unique key, so the table's primary key is (id, at) while
Django's model simply has `id` as its key. A default partition catches whatever no month holds, so an insert
never fails because the scheduler was away.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

from django.db import connection, migrations, transaction

_MONTHLY: dict[str, str] = {}


def register_monthly(table: str, column: str) -> None:
    """Name a partitioned table whose months are to be kept ready by `ensure_months`."""
    _MONTHLY[table] = column


class CreateMonthlyModel(migrations.CreateModel):
    """CreateModel whose table is partitioned by month on `partition_column` (a non-null timestamp)."""

    def __init__(self, *args: Any, partition_column: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.partition_column = partition_column

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        name, args, kwargs = super().deconstruct()
        kwargs["partition_column"] = self.partition_column
        return name, args, kwargs

    def reduce(self, operation: Any, app_label: str) -> bool:
        """Never merged with other operations: the table's shape is fixed when it is made."""
        return False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.name)
        sql, params = schema_editor.table_sql(model)
        text = str(sql)
        column = schema_editor.quote_name(model._meta.get_field(self.partition_column).column)
        key = schema_editor.quote_name(model._meta.pk.column)
        text, found = re.subn(r"\s+PRIMARY KEY", "", text, count=1)
        if not found or not text.rstrip().endswith(")"):
            raise ValueError(f"unexpected CREATE TABLE for {model._meta.label}: {text}")
        text = f"{text.rstrip()[:-1]}, PRIMARY KEY ({key}, {column})) PARTITION BY RANGE ({column})"
        schema_editor.execute(text, params or None)
        table = model._meta.db_table
        schema_editor.execute(
            f"CREATE TABLE {schema_editor.quote_name(table + '_default')} "
            f"PARTITION OF {schema_editor.quote_name(table)} DEFAULT"
        )
        schema_editor.deferred_sql.extend(schema_editor._model_indexes_sql(model))


def _month(start: datetime.date, ahead: int) -> datetime.date:
    index = start.year * 12 + start.month - 1 + ahead
    return datetime.date(index // 12, index % 12 + 1, 1)


def ensure_months(*, today: datetime.date, ahead: int = 2) -> list[str]:
    """Make this month's and the next `ahead` months' partitions of every registered table.

    Returns the names made. A month whose rows already lie in the default partition is left there.
    """
    made: list[str] = []
    for table in sorted(_MONTHLY):
        for step in range(ahead + 1):
            first, following = _month(today.replace(day=1), step), _month(today.replace(day=1), step + 1)
            name = f"{table}_y{first.year}m{first.month:02d}"
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "SELECT to_regclass(%s) IS NOT NULL, to_regclass(%s) IS NOT NULL", [name, table]
                )
                exists, parent = cursor.fetchone()
                if exists or not parent:
                    continue
                cursor.execute(
                    f'SELECT EXISTS (SELECT 1 FROM "{table}_default" WHERE "{_MONTHLY[table]}" >= %s '
                    f'AND "{_MONTHLY[table]}" < %s)',
                    [first, following],
                )
                if cursor.fetchone()[0]:
                    continue
                cursor.execute(
                    f'CREATE TABLE "{name}" PARTITION OF "{table}" '
                    f"FOR VALUES FROM ('{first.isoformat()} 00:00:00+00') TO ('{following.isoformat()} 00:00:00+00')"
                )
                made.append(name)
    return made
