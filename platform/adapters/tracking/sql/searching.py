"""Searching runs: MLflow's grammar turned into one SQL query.

Equal to MLflow's own search_runs, which tests/tracking checks on random data: a clause about a metric,
parameter, tag or dataset is an EXISTS, a key to sort by is a LEFT JOIN; NaN sorts behind numbers, missing
values last in both directions; ties fall to the newest start, then the run id.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from adapters.tracking.cursors import decode_cursor, encode_cursor
from adapters.tracking.grammar import Clause, Order, parse_filter, parse_order_by
from adapters.tracking.protocol import RunPage, Stage, workspace_name
from adapters.tracking.sql.rows import fetch_all

_TABLES = {"metric": "latest_metrics", "parameter": "params", "tag": "tags"}
_COLUMNS = {"run_id": "run_uuid", "run_name": "name"}
_DATASET_COLUMNS = {"name": "name", "digest": "digest"}
MAX_LIMIT = 50_000


def _compare(column: str, comparator: str, value: Any) -> tuple[str, list[Any]]:
    if comparator == "IN":
        return f"{column} = ANY(%s)", [list(value)]
    if comparator == "NOT IN":
        return f"NOT {column} = ANY(%s)", [list(value)]
    operator = "<>" if comparator == "!=" else comparator
    return f"{column} {operator} %s", [value]


def _condition(clause: Clause) -> tuple[str, list[Any]]:
    """One clause as a condition on `runs r`, with its values."""
    if clause.kind == "attribute" and clause.key != "run_name":
        return _compare(f"r.{_COLUMNS.get(clause.key, clause.key)}", clause.comparator, clause.value)
    if clause.kind == "dataset":
        return _dataset_condition(clause)
    table = _TABLES["tag" if clause.kind == "attribute" else clause.kind]
    key = "mlflow.runName" if clause.kind == "attribute" else clause.key
    exists = f"EXISTS (SELECT 1 FROM mlflow.{table} x WHERE x.run_uuid = r.run_uuid AND x.key = %s"
    if clause.comparator == "IS NULL":
        return f"NOT {exists})", [key]
    if clause.comparator == "IS NOT NULL":
        return f"{exists})", [key]
    test, values = _compare("x.value", clause.comparator, clause.value)
    if clause.kind == "metric":  # NaN is stored as 0 with a flag: it only ever differs from a number
        test = f"({test} OR x.is_nan)" if clause.comparator == "!=" else f"({test} AND NOT x.is_nan)"
    return f"{exists} AND {test})", [key, *values]


def _dataset_condition(clause: Clause) -> tuple[str, list[Any]]:
    edge = (
        "EXISTS (SELECT 1 FROM mlflow.inputs i JOIN mlflow.datasets d ON d.dataset_uuid = i.source_id"
        "{join} WHERE i.destination_id = r.run_uuid AND {test})"
    )
    if clause.key == "context":
        test, values = _compare("it.value", clause.comparator, clause.value)
        join = (
            " JOIN mlflow.input_tags it ON it.input_uuid = i.input_uuid AND it.name = 'mlflow.data.context'"
        )
        return edge.format(join=join, test=test), values
    test, values = _compare(f"d.{_DATASET_COLUMNS[clause.key]}", clause.comparator, clause.value)
    return edge.format(join="", test=test), values


def _ordering(orders: Sequence[Order]) -> tuple[str, list[Any], str]:
    """(LEFT JOINs, their values, ORDER BY list) for the keys to sort by."""
    joins, values, terms = "", [], []
    for number, order in enumerate(orders):
        direction = "ASC" if order.ascending else "DESC"
        if order.kind == "attribute":
            column, nan = f"r.{_COLUMNS.get(order.key, order.key)}", ""
        else:
            alias = f"o{number}"
            joins += (
                f" LEFT JOIN mlflow.{_TABLES[order.kind]} {alias}"
                f" ON {alias}.run_uuid = r.run_uuid AND {alias}.key = %s"
            )
            values.append(order.key)
            column = f"{alias}.value"
            nan = f"WHEN {alias}.is_nan THEN 1 " if order.kind == "metric" else ""
        terms += [f"CASE {nan}WHEN {column} IS NULL THEN 2 ELSE 0 END", f"{column} {direction}"]
    if not any(order.kind == "attribute" and order.key == "start_time" for order in orders):
        terms.append("r.start_time DESC")
    return joins, values, ", ".join([*terms, "r.run_uuid"])


class SqlSearch:
    """Search over the runs of a project."""

    def search(
        self,
        project_id: UUID,
        *,
        experiment_ids: Collection[str] | None = None,
        filter: str = "",
        order_by: Sequence[str] = (),
        limit: int = 100,
        cursor: str | None = None,
        stage: Stage = "active",
        only: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> RunPage:
        """The ids of the project's runs that match MLflow's filter grammar, in order, one page at a time.

        experiment_ids: None means every active experiment; ids of other projects match nothing. only, without:
        ids of runs to which the answer is held (None: any), and which it leaves out. Raises
        Invalid "tracking.filter" for a filter or order that cannot be read, "tracking.cursor" for a cursor.
        """
        clauses, orders = parse_filter(filter), parse_order_by(order_by)
        offset, limit = decode_cursor(cursor), min(max(limit, 1), MAX_LIMIT)
        joins, values, order = _ordering(orders)
        where, params = ["e.workspace = %s"], [workspace_name(project_id)]
        if experiment_ids is None:
            where.append("e.lifecycle_stage = 'active'" if stage == "active" else "TRUE")
        else:
            numbers = [int(i) for i in experiment_ids if i.isascii() and i.isdigit() and len(i) < 10]
            where.append("r.experiment_id = ANY(%s)")
            params.append(numbers)  # type: ignore[arg-type]
        if stage != "all":
            where.append("r.lifecycle_stage = %s")
            params.append(stage)
        for ids, test in ((only, "r.run_uuid = ANY(%s)"), (without or None, "NOT r.run_uuid = ANY(%s)")):
            if ids is not None:
                where.append(test)
                params.append(list(ids))  # type: ignore[arg-type]
        for clause in clauses:
            test, more = _condition(clause)
            where.append(test)
            params += more
        rows = fetch_all(
            "SELECT r.run_uuid FROM mlflow.runs r JOIN mlflow.experiments e USING (experiment_id)"
            f"{joins} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT %s OFFSET %s",
            [*values, *params, limit + 1, offset],
        )
        ids = tuple(row[0] for row in rows)
        return RunPage(ids[:limit], encode_cursor(offset + limit) if len(ids) > limit else None)
