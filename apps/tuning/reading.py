"""Trials as charts and tables read them: one query a study, and what is computed of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.experiments import algorithms
from apps.tuning.importances import Importances, importances_of
from apps.tuning.models import Study
from apps.tuning.space import Dimension, load_space
from apps.tuning.states import TrialState


@dataclass(frozen=True)
class Point:
    """One trial: its number, state, parameters and value; run: 32 hex digits. began: when it was proposed; reason: why it failed."""

    number: int
    state: str
    value: float | None
    parameters: Mapping[str, Any]
    intermediate: Mapping[str, float]
    run: str
    began: datetime
    told: datetime | None = None
    reason: str = ""

    @property
    def latest(self) -> float | None:
        """The value, or the last intermediate one of a trial that has none."""
        if self.value is not None or not self.intermediate:
            return self.value
        return self.intermediate[max(self.intermediate, key=int)]


def points_of(study: Study) -> list[Point]:
    """All trials in the order of their numbers."""
    rows = study.trials.order_by("number").values_list(
        "number", "state", "value", "parameters", "intermediate", "run_id", "created_at", "told_at", "reason"
    )
    return [Point(*row[:5], row[5].hex, *row[6:]) for row in rows]


def complete(points: Sequence[Point]) -> list[Point]:
    """Those that came to their end, with a value."""
    return [p for p in points if p.state == TrialState.COMPLETE and p.value is not None]


def best_of(points: Sequence[Point], *, maximize: bool) -> Point | None:
    """The complete trial with the best value; among equals the earliest."""
    found = complete(points)
    return min(found, key=lambda p: (-p.value if maximize else p.value, p.number)) if found else None  # type: ignore[operator]


def dimensions_of(study: Study) -> list[Dimension]:
    """The study's search space, in the order in which parameters are shown."""
    return load_space(algorithms.every().get(study.algorithm), study.search_space)


def importances_in(study: Study, points: Sequence[Point]) -> Importances | None:
    """How much each parameter decided, out of trials that were read already."""
    pairs = [(p.parameters, p.value) for p in complete(points) if p.value is not None]
    return importances_of(dimensions_of(study), pairs, maximize=study.maximizes)


def importances_of_study(study: Study) -> Importances | None:
    """How much each parameter decided; None with too few trials."""
    return importances_in(study, points_of(study))
