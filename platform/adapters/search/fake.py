"""The twin without Optuna: random proposals, a plain median, a crude importance. For tests, and as the measure of
what the Protocol asks."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.search.grid import grid_points, values_of
from adapters.search.protocol import MEDIAN_STARTUP, Dimension, Seen
from adapters.search.rungs import REDUCTION, rung_values


class FakeSearch:
    """Random within the space, whatever sampler is named."""

    def propose(
        self,
        space: Sequence[Dimension],
        *,
        maximize: bool,
        sampler: str,
        seed: int,
        number: int,
        history: Sequence[Seen],
    ) -> dict[str, Any] | None:
        """See Search."""
        if sampler == "grid":
            points = grid_points(space, seed)
            return points[number] if number < len(points) else None
        dice = random.Random(f"{seed}/{number}")  # noqa: S311  (parameters, no secret)
        chosen: dict[str, Any] = {}
        for dimension in space:
            if dimension.active(chosen):
                chosen[dimension.name] = _draw(dice, dimension)
        return chosen

    def should_prune(
        self,
        pruner: str,
        *,
        maximize: bool,
        first: int,
        intermediate: Mapping[int, float],
        peers: Sequence[Seen],
    ) -> bool:
        """See Search."""
        if pruner == "none" or not intermediate:
            return False
        sign = 1 if maximize else -1
        step = max(intermediate)
        if pruner == "median":
            complete = [peer for peer in peers if peer.state == "complete"]
            others = [peer.intermediate[step] for peer in complete if step in peer.intermediate]
            if len(complete) < MEDIAN_STARTUP or step < first or not others:
                return False
            return max(sign * v for v in intermediate.values()) < sign * statistics.median(others)
        mine = rung_values(intermediate, first)
        new = len(rung_values({s: v for s, v in intermediate.items() if s != step}, first))
        for rung in range(new, len(mine)):
            there = [
                found[rung] for peer in peers if len(found := rung_values(peer.intermediate, first)) > rung
            ]
            better = sum(sign * value > sign * mine[rung] for value in there)
            if better >= max(1, (len(there) + 1) // REDUCTION):
                return True
        return False

    def importances(
        self, space: Sequence[Dimension], *, maximize: bool, history: Sequence[Seen]
    ) -> dict[str, float]:
        """See Search. By how much the better half differs from the rest in each parameter."""
        done = [seen for seen in history if seen.state == "complete" and seen.value is not None]
        if len(done) < 5 or len({seen.value for seen in done}) < 2:
            return {}
        ranked = sorted(done, key=lambda seen: seen.value or 0.0, reverse=maximize)
        good, rest = ranked[: len(ranked) // 2], ranked[len(ranked) // 2 :]
        shared = [d for d in space if all(d.name in seen.parameters for seen in done)]
        gaps = {
            d.name: abs(_mean(d, good) - _mean(d, rest)) + 1e-9
            for d in shared
            if len({seen.parameters[d.name] for seen in done}) > 1
        }
        total = sum(gaps.values())
        ordered = sorted(gaps, key=lambda name: -gaps[name])
        return {name: gaps[name] / total for name in ordered}


def _draw(dice: random.Random, dimension: Dimension) -> Any:
    if math.isfinite(dimension.points) and not dimension.log:
        return dice.choice(values_of(dimension))
    assert dimension.low is not None
    assert dimension.high is not None
    if not dimension.log:
        return dice.uniform(dimension.low, dimension.high)
    value = math.exp(dice.uniform(math.log(dimension.low), math.log(dimension.high)))
    value = min(max(value, dimension.low), dimension.high)
    return round(value) if dimension.type == "int" else value


def _mean(dimension: Dimension, trials: Sequence[Seen]) -> float:
    """The mean place of a parameter within its range, from 0 to 1."""
    if dimension.type == "categorical":
        places = [list(dimension.choices).index(seen.parameters[dimension.name]) for seen in trials]
        return statistics.fmean(places) / max(1, len(dimension.choices) - 1)
    assert dimension.low is not None
    assert dimension.high is not None
    width = (dimension.high - dimension.low) or 1
    return statistics.fmean((seen.parameters[dimension.name] - dimension.low) / width for seen in trials)
