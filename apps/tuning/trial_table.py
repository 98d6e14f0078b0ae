"""The table of a study's trials, as the URL filters, sorts and cuts it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from apps.experiments.models import Run
from apps.tuning.pages import StudyPage
from apps.tuning.parallel import show
from apps.tuning.reading import Point
from apps.tuning.states import TrialState
from foundation.clock import now
from foundation.ui.listing import PAGE_SIZE, Listing, url_with


@dataclass(frozen=True)
class Column:
    """A searched parameter in the trial table; order: the word that sorts by it."""

    name: str
    order: str
    numeric: bool


@dataclass(frozen=True)
class TrialRow:
    """One row of the trial table. cells: [(numeric, value in words)] per searched parameter."""

    point: Point
    run: Run | None
    cells: list[tuple[bool, str]]
    best: bool

    @property
    def seconds(self) -> float | None:
        """How long its run worked, or has been working."""
        start = self.run.started_at if self.run else None
        if self.run is None or start is None:
            return None
        return float(((self.run.finished_at or now()) - start).total_seconds())

    @property
    def reason(self) -> str:
        """Why it failed."""
        return self.point.reason if self.point.state == TrialState.FAILED else ""


@dataclass(frozen=True)
class TrialTable:
    """The trials as the URL filters, sorts and cuts them.

    Sorted here and not by the database: parameters are JSON of mixed types, and all trials were read anyway.
    """

    listing: Listing
    columns: list[Column]
    state: str
    states: Sequence[tuple[str, str]] = field(default_factory=lambda: list(TrialState.choices))

    @property
    def any_failed(self) -> bool:
        """Whether a shown trial has a reason to tell."""
        return any(row.reason for row in self.listing.rows)

    @classmethod
    def build(cls, request: HttpRequest, page: StudyPage) -> TrialTable:
        """An unknown order, state or page falls back to the usual one, as in every list."""
        state = request.GET.get("state", "")
        state = state if state in TrialState.values else ""
        found = [p for p in page.points if not state or p.state == state]
        columns = [Column(d.name, f"p.{d.name}", d.type != "categorical") for d in page.dimensions]
        order = request.GET.get("order_by", "-number")
        found = _sorted(found, order, {c.name for c in columns})
        number = _page_number(request.GET.get("page", ""), len(found))
        shown = found[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
        runs = Run.objects.select_related("job").in_bulk([p.run for p in shown])
        by_hex = {run.hex: run for run in runs.values()}
        best = page.best
        rows = [
            TrialRow(
                point=p,
                run=by_hex.get(p.run),
                cells=[(c.numeric, show_cell(p, c.name)) for c in columns],
                best=best is not None and p.number == best.number,
            )
            for p in shown
        ]
        more = number * PAGE_SIZE < len(found)
        listing = Listing(
            rows=rows,
            order_by=order,
            filtered=bool(state),
            next_url=url_with(request, page=number + 1, fragment=None) if more else None,
            first_url=url_with(request, page=None, fragment=None) if number > 1 else None,
            clear_url=url_with(request, state=None, page=None, fragment=None),
            total=len(found),
        )
        return cls(listing, columns, state)


def show_cell(point: Point, name: str) -> str:
    """A parameter's value in the table."""
    return show(point.parameters[name]) if name in point.parameters else "–"


def _page_number(text: str, count: int) -> int:
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1
    return max(1, min(wanted, math.ceil(count / PAGE_SIZE) or 1))


def _sorted(points: list[Point], order: str, parameters: set[str]) -> list[Point]:
    """By number, state, value, took, or "p.NAME"; what is absent comes last either way."""
    word, down = order.lstrip("-"), order.startswith("-")

    def value_of(point: Point) -> Any:
        if word == "state":
            return point.state
        if word == "value":
            return point.latest
        if word == "took":
            return (point.told - point.began).total_seconds() if point.told else None
        if word.startswith("p.") and word[2:] in parameters:
            found = point.parameters.get(word[2:])
            return found if found is None or isinstance(found, str) else float(found)
        return point.number

    there = [p for p in points if value_of(p) is not None]
    absent = [p for p in points if value_of(p) is None]
    there.sort(key=lambda p: p.number)
    there.sort(key=lambda p: (isinstance(value_of(p), str), value_of(p)), reverse=down)
    return there + absent
