"""What each column holds: counts, spread, most frequent values and a histogram, computed by DuckDB over the parts.

A column's profile is a dictionary with, for every type: name, type, count (rows), missing, distinct,
distinct_exact (False: an estimate by HyperLogLog), top ([{value, count}], at most 10, most frequent first).
integer and float add min, max, mean, std (sample), quantiles ({"5", "25", "50", "75", "95"}), zeros, negatives,
infinite and histogram; date and datetime add min, max, quantiles and histogram, as ISO text; string adds
lengths ({min, max, mean}, in characters); boolean adds true and false; time adds min and max.
histogram: {edges: n + 1 values, counts: n}, bins half-open to the right, the last one closed.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.datasets.sandbox.columns import type_name
from apps.datasets.sandbox.limits import Limits
from apps.datasets.sandbox.preview import shorten

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BINS = 30
FEW_DISTINCT = 10_000
GROUP_COLUMNS = 100
GROUP_CELLS = 4_000_000
TOP = 10
TOP_CHARACTERS = 120
QUANTILES = (5, 25, 50, 75, 95)
EPOCH = datetime.datetime(1970, 1, 1)


def profile_of(
    parts: list[Path],
    schema: pa.Schema,
    limits: Limits,
    folder: Path,
    progress: Callable[[float], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """The profile of every column of the table in `parts`. folder: for DuckDB's temporary files. progress: 0 to 1."""
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        connection.execute(f"SET memory_limit='{limits.profile_memory_mb}MB'")
        connection.execute("SET threads=2")
        connection.execute("SET preserve_insertion_order=false")
        connection.execute("SET temp_directory=" + _literal(str(folder / "duckdb")))
        files = ", ".join(_literal(str(part)) for part in parts)
        # By position: to DuckDB `a` and `A` are one name, to a table they are two columns.
        cells = ", ".join(_cell(index) for index in range(len(schema)))
        connection.execute(f"CREATE VIEW t({cells}) AS SELECT * FROM read_parquet([{files}])")
        rows = int(_one(connection, "SELECT count(*) FROM t")[0])
        found: list[dict[str, Any]] = []
        width = max(1, min(GROUP_COLUMNS, GROUP_CELLS // max(1, rows)))
        for start in range(0, len(schema), width):
            group = range(start, min(start + width, len(schema)))
            table = "t"
            if width > 1:
                # A wide file has a long footer, which every query over it would read again.
                cells = ", ".join(_cell(index) for index in group)
                connection.execute(f"CREATE OR REPLACE TEMP TABLE g AS SELECT {cells} FROM t")
                table = "g"
            for index in group:
                field, exact = schema.field(index), rows <= limits.exact_rows
                column = _Column(
                    connection, table, _cell(index), field.name, type_name(field.type), rows, exact=exact
                )
                found.append(column.describe())
                progress(len(found) / len(schema))
        return found
    finally:
        connection.close()


class _Column:
    """The questions that are asked of one column."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        cell: str,
        name: str,
        kind: str,
        rows: int,
        *,
        exact: bool,
    ) -> None:
        self.connection = connection
        self.name = name
        self.kind = kind
        self.rows = rows
        self.exact = exact
        # Infinities are counted apart: they would swallow every mean, quantile and bin.
        condition = f"isfinite({cell})" if kind == "float" else f"{cell} IS NOT NULL"
        self.source = f"(SELECT {cell} AS v FROM {table} WHERE {condition})"
        self.present = f"SELECT count({cell}) FROM {table}"

    def describe(self) -> dict[str, Any]:
        known = int(_one(self.connection, self.present)[0])
        found: dict[str, Any] = {
            "name": self.name,
            "type": self.kind,
            "count": self.rows,
            "missing": self.rows - known,
            "distinct": 0,
            "distinct_exact": True,
            "top": [],
        }
        if not known:
            return found
        self._distinct(found, known)
        if self.kind in ("integer", "float"):
            self._numbers(found, known)
        elif self.kind in ("date", "datetime"):
            self._moments(found)
        elif self.kind == "string":
            low, high, mean = _one(
                self.connection, f"SELECT min(length(v)), max(length(v)), avg(length(v)) FROM {self.source}"
            )
            found["lengths"] = {"min": int(low), "max": int(high), "mean": _number(mean)}
        elif self.kind == "boolean":
            true = int(_one(self.connection, f"SELECT count(*) FILTER (v) FROM {self.source}")[0])
            found["true"], found["false"] = true, known - true
        else:
            low, high = _one(self.connection, f"SELECT min(v), max(v) FROM {self.source}")
            found["min"], found["max"] = str(low), str(high)
        if found["distinct"] < known and (self.kind != "float" or found["distinct"] <= 100):
            found["top"] = self._top()
        return found

    def _distinct(self, found: dict[str, Any], known: int) -> None:
        exact = self.exact
        if not exact:
            guess = int(_one(self.connection, f"SELECT approx_count_distinct(v) FROM {self.source}")[0])
            # Few values are counted exactly after all: that needs little memory however many rows there are.
            exact = guess <= FEW_DISTINCT
            found["distinct"] = min(known, guess)
        if exact:
            found["distinct"] = int(_one(self.connection, f"SELECT count(DISTINCT v) FROM {self.source}")[0])
        found["distinct_exact"] = exact

    def _top(self) -> list[dict[str, Any]]:
        rows = self.connection.execute(
            f"SELECT v, count(*) AS n FROM {self.source} GROUP BY v ORDER BY n DESC, v LIMIT {TOP}"
        ).fetchall()
        return [{"value": self._shown(value), "count": int(count)} for value, count in rows]

    def _shown(self, value: Any) -> Any:
        if isinstance(value, str):
            return shorten(value, TOP_CHARACTERS)
        if isinstance(value, datetime.datetime | datetime.date | datetime.time):
            return value.isoformat()
        return value

    def _numbers(self, found: dict[str, Any], known: int) -> None:
        import duckdb

        spread = ", avg(v), stddev_samp(v)"
        query = (
            "SELECT count(*), min(v), max(v), count(*) FILTER (v = 0), count(*) FILTER (v < 0){} FROM "
            + self.source
        )
        try:
            row = _one(self.connection, query.format(spread))
        except duckdb.OutOfRangeException:
            # Values near the end of the floating-point range: their sum has no number.
            row = (*_one(self.connection, query.format("")), None, None)
        finite, low, high, zeros, negatives, mean, std = row
        found.update(
            min=low, max=high, mean=_number(mean), std=_number(std),
            zeros=int(zeros), negatives=int(negatives), infinite=known - int(finite),
        )  # fmt: skip
        if finite:
            found["quantiles"] = self._quantiles("v")
            found["histogram"] = self._histogram("v", low, high, whole=self.kind == "integer")

    def _moments(self, found: dict[str, Any]) -> None:
        value = "epoch_us(v::TIMESTAMP)"
        low, high = _one(self.connection, f"SELECT min({value}), max({value}) FROM {self.source}")
        found["min"], found["max"] = self._moment(low), self._moment(high)
        found["quantiles"] = {key: self._moment(at) for key, at in self._quantiles(value).items()}
        histogram = self._histogram(value, low, high, whole=False)
        if histogram is not None:
            histogram["edges"] = [self._moment(edge) for edge in histogram["edges"]]
        found["histogram"] = histogram

    def _moment(self, microseconds: float | None) -> str | None:
        if microseconds is None:
            return None
        try:
            moment = EPOCH + datetime.timedelta(microseconds=round(microseconds))
        except OverflowError:
            return None
        return moment.isoformat()

    def _quantiles(self, value: str) -> dict[str, Any]:
        points = ", ".join(str(point / 100) for point in QUANTILES)
        function = "quantile_cont" if self.exact else "approx_quantile"
        row = _one(self.connection, f"SELECT {function}({value}::DOUBLE, [{points}]) FROM {self.source}")
        return {str(point): _number(at) for point, at in zip(QUANTILES, row[0], strict=True)}

    def _histogram(self, value: str, low: Any, high: Any, *, whole: bool) -> dict[str, Any] | None:
        edges = histogram_edges(low, high, whole=whole)
        if edges is None:
            return None
        bins = len(edges) - 1
        width = (edges[-1] - edges[0]) / bins
        rows = self.connection.execute(
            f"SELECT greatest(0, least({bins - 1}, floor(({value}::DOUBLE - ?) / ?)))::INTEGER AS b, count(*) "
            f"FROM {self.source} GROUP BY b",
            [float(edges[0]), float(width)],
        ).fetchall()
        counts = [0] * bins
        for index, count in rows:
            counts[int(index)] = int(count)
        return {"edges": edges, "counts": counts}


def histogram_edges(low: float, high: float, *, whole: bool) -> list[float] | None:
    """Edges of equal bins from low to high: one bin for each whole number where there are at most 30 of them, one
    bin around a constant, else 30. None when the range has no finite width."""
    if whole and high - low < BINS:
        return [float(low + step) for step in range(int(high - low) + 2)]
    if low == high:
        return [float(low) - 0.5, float(high) + 0.5] if abs(low) < 2**52 else None
    width = (float(high) - float(low)) / BINS
    if not math.isfinite(width) or width == 0:
        return None
    return [float(low) + width * step for step in range(BINS)] + [float(high)]


def _number(value: Any) -> float | None:
    """A finite float, or None."""
    return float(value) if value is not None and math.isfinite(value) else None


def _cell(index: int) -> str:
    """What a column is called in queries: no name of a file ever gets into one."""
    return f"c{index}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)
