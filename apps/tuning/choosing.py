"""Which sampler and pruner a study gets: the one that was named, or the one that "auto" chooses, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.search import GRID_AT_MOST, grid_size
from adapters.search.protocol import MEDIAN_STARTUP, STARTUP_TRIALS
from apps.experiments.algorithms.schema import Algorithm
from apps.tuning.space import Dimension
from apps.tuning.states import AUTO, Pruner, Sampler
from foundation.errors import Invalid

FOLDS, ITERATIONS = "folds", "iterations"
#: The fold from which trials are compared: a single one says little.
FIRST_FOLD = 2


@dataclass(frozen=True)
class Choice:
    """reason: why "auto" chose so, empty when a person did. limit: there are no more different trials."""

    name: str
    reason: str = ""
    limit: int | None = None


def steps_of(algorithm: Algorithm, folds: int | None) -> str:
    """What a trial reports on its way: one value a fold, one every few iterations, or nothing ("")."""
    if folds:
        return FOLDS
    return ITERATIONS if algorithm.iterations else ""


def first_step(algorithm: Algorithm, folds: int | None) -> int:
    """The step from which trials are compared."""
    return FIRST_FOLD if folds else algorithm.judged_from


def choose_sampler(wanted: str, space: Sequence[Dimension], n_trials: int) -> Choice:
    """Raises Invalid "study.sampler" for an unknown one, or a grid over a space that has no end."""
    size = grid_size(space)
    if wanted == AUTO:
        return _auto_sampler(size, n_trials)
    if wanted not in Sampler.values:
        raise Invalid(
            "study.sampler",
            f"There is no sampler '{wanted[:40]}'. Known are: {', '.join([AUTO, *Sampler.values])}.",
            {"field": "sampler", "known": [AUTO, *Sampler.values]},
        )
    if wanted == Sampler.GRID and size is None:
        endless = [d.name for d in space if d.points == float("inf")]
        why = (
            f"{endless[0]} can have any value in its range; give it a step or choices"
            if endless
            else f"it has more than {GRID_AT_MOST:,} points; widen the steps"
        )
        raise Invalid(
            "study.sampler", f"A grid over this space would never end: {why}.", {"field": "sampler"}
        )
    return Choice(wanted, limit=size if wanted == Sampler.GRID else None)


def _auto_sampler(size: int | None, n_trials: int) -> Choice:
    if size is not None and size <= n_trials:
        return Choice(
            Sampler.GRID,
            f"The space has only {size} points, so every one of them is tried"
            f"{'' if size == n_trials else f' and {size} trials are enough'}.",
            limit=size,
        )
    if n_trials <= STARTUP_TRIALS:
        return Choice(
            Sampler.RANDOM,
            f"{n_trials} trials are too few to learn from: TPE would need more than {STARTUP_TRIALS}.",
        )
    return Choice(
        Sampler.TPE,
        f"TPE learns from earlier trials where good values lie; its first {STARTUP_TRIALS} are random.",
    )


def choose_pruner(wanted: str, steps: str, algorithm: str, n_trials: int) -> Choice:
    """Raises Invalid "study.pruner" for an unknown one, or one that would never have anything to compare."""
    nothing = (
        f"{algorithm} reports nothing before its end; with cross-validation it reports every fold."
        if not steps
        else ""
    )
    if wanted == AUTO:
        if nothing:
            return Choice(Pruner.NONE, nothing)
        if n_trials <= MEDIAN_STARTUP:
            return Choice(
                Pruner.NONE, f"{n_trials} trials are too few to tell early which ones are hopeless."
            )
        each = "fold" if steps == FOLDS else "few iterations"
        return Choice(
            Pruner.MEDIAN,
            f"Every {each} a trial reports how good it is; one that is worse than half of the others there "
            f"ends early, once {MEDIAN_STARTUP} are complete.",
        )
    if wanted not in Pruner.values:
        raise Invalid(
            "study.pruner",
            f"There is no pruner '{wanted[:40]}'. Known are: {', '.join([AUTO, *Pruner.values])}.",
            {"field": "pruner", "known": [AUTO, *Pruner.values]},
        )
    if wanted != Pruner.NONE and nothing:
        raise Invalid("study.pruner", f"Nothing can be pruned: {nothing}", {"field": "pruner"})
    return Choice(wanted)
