"""The twin without Optuna: random proposals, a plain median. For tests, and as the measure of
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
