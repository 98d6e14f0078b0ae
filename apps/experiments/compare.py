"""Runs side by side: which settings differ, which run is best at what, curves overlaid."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.accounts.models import Project
from apps.experiments import charts
from apps.experiments.metric_catalogue import METRICS, TELLING, direction, title
from apps.experiments.queries import RunRow, curves_of, rows_of, split_parameters
from foundation.errors import Invalid, NotFound
from foundation.ui.series import assign_series, series_colour

RUNS_AT_MOST = 10
CURVES_AT_MOST = 12
#: Stands where a run's algorithm has no such parameter.
ABSENT = "–"


@dataclass(frozen=True)
class Cell:
    """One value of one run. best: the best of its line, which the page also says in a word."""

    value: Any
    best: bool = False


@dataclass(frozen=True)
class Line:
    """One parameter or metric over the runs, in the order of the columns."""

    name: str
    title: str
    cells: list[Cell]
    differs: bool
    direction: str = "none"


@dataclass(frozen=True)
class Column:
    """One run with its colour (1 to 10)."""

    row: RunRow
    series: int


@dataclass(frozen=True)
class Comparison:
    """Columns are runs; sections of lines in reading order. hidden: lines left out because all agree."""

    columns: list[Column]
    facts: list[Line]
    parameters: list[Line]
    metrics: list[Line]
    hidden: int
    differences_only: bool


def compare(project: Project, run_ids: Sequence[str], *, differences_only: bool = True) -> Comparison:
    """Runs side by side, in the given order.

    Raises Invalid "run.compare_count" unless 2 to 10 are given, NotFound for one that is not in the project.
    """
    wanted = list(dict.fromkeys(run_ids))
    if not 2 <= len(wanted) <= RUNS_AT_MOST:
        raise Invalid(
            "run.compare_count",
            f"Choose 2 to {RUNS_AT_MOST} runs to compare; {len(wanted)} {'is' if len(wanted) == 1 else 'are'} chosen.",
            {"field": "run"},
        )
    rows = rows_of(project, [_id(r) for r in wanted])
    if len(rows) < len(wanted):
        raise NotFound("run.not_found", "One of these runs is not in this project, or is in the trash.")
    series = assign_series(row.run.hex for row in rows)
    facts = [
        _line("dataset", "Dataset", [row.run.dataset_label for row in rows]),
        _line("algorithm", "Algorithm", [row.run.algorithm or row.run.code_name for row in rows]),
        _line("state", "State", [row.run.state for row in rows]),
    ]
    if any(row.run.code_digest for row in rows):
        facts.insert(2, _line("code", "Code", [row.run.code_digest[:12] or ABSENT for row in rows]))
    splits = [split_parameters(row) for row in rows]
    merged = [{**settings, **parameters} for settings, parameters in splits]
    names = list(dict.fromkeys(name for values in merged for name in values))
    parameters = [_line(n, n, [values.get(n, ABSENT) for values in merged]) for n in names]
    metrics = [_metric_line(n, rows) for n in _metric_names(rows)]
    total = len(facts) + len(parameters) + len(metrics)
    if differences_only:
        facts, parameters, metrics = (
            [line for line in x if line.differs] for x in (facts, parameters, metrics)
        )
    return Comparison(
        columns=[Column(row, series[row.run.hex]) for row in rows],
        facts=facts,
        parameters=parameters,
        metrics=metrics,
        hidden=total - len(facts) - len(parameters) - len(metrics),
        differences_only=differences_only,
    )


def _id(text: str) -> str:
    try:
        return uuid.UUID(text).hex
    except ValueError:
        raise NotFound("run.not_found", "There is no such run in this project.", {"id": text[:60]}) from None


def _metric_names(rows: Sequence[RunRow]) -> list[str]:
    """Known metrics in the catalogue's order, then the others by name."""
    found = {name for row in rows for name in row.metrics if not name.startswith("fold_")}
    known = [name for name in METRICS if name in found]
    return known + sorted(found - set(known))


def _line(name: str, heading: str, values: list[Any]) -> Line:
    return Line(name, heading, [Cell(v) for v in values], differs=len({str(v) for v in values}) > 1)


def _metric_line(name: str, rows: Sequence[RunRow]) -> Line:
    values = [row.metrics.get(name) for row in rows]
    known = [v for v in values if v is not None and math.isfinite(v)]
    way = direction(name)
    best = None
    if len(known) > 1 and way != "none" and len(set(known)) > 1:
        best = max(known) if way == "max" else min(known)
    cells = [Cell(v, best=best is not None and v == best) for v in values]
    return Line(name, title(name), cells, differs=len(set(map(str, values))) > 1, direction=way)


def comparison_charts(comparison: Comparison) -> list[tuple[str, charts.Figure]]:
    """Overlaid curves of the metrics that have steps, and bars of the first scalar metrics: [(title, figure)]."""
    per_run = [
        (c, curves_of(c.row.run, [n for n in c.row.metrics if not n.startswith("fold_")]))
        for c in comparison.columns
    ]
    keys = sorted({key for _, curves in per_run for key in curves})[:CURVES_AT_MOST]
    figures = []
    for key in keys:
        series = [
            {
                "name": column.row.run.name,
                "colour": series_colour(column.series),
                "steps": [p.step for p in curves[key]],
                "values": [p.value for p in curves[key]],
            }
            for column, curves in per_run
            if key in curves
        ]
        figures.append((title(key), charts.metric_history(title(key), series)))
    for line in [m for m in comparison.metrics if m.name in TELLING][:4]:
        dots = [
            {"name": column.row.run.name, "colour": series_colour(column.series), "value": cell.value}
            for column, cell in zip(comparison.columns, line.cells, strict=True)
        ]
        figures.append((line.title, charts.metric_values(line.title, dots)))
    return figures
