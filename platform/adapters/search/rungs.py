"""The steps at which a pruner compares trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: Successive halving: one in three goes on, and a rung takes three times the steps of the one before.
REDUCTION = 3


def rung_values(intermediate: Mapping[int, float], first: int) -> list[float]:
    """What a trial had reached at the rungs `first`, 3 x first, 9 x first, … : the value at the first step that is
    not below."""
    found: list[float] = []
    steps = sorted(intermediate)
    rung = first
    while (step := next((s for s in steps if s >= rung), None)) is not None:
        found.append(intermediate[step])
        rung *= REDUCTION
    return found


def needed_steps(pruner: str, steps: Iterable[int], step: int, first: int) -> list[int]:
    """Which of a peer's steps a pruner looks at when it judges a trial at `step`; all others may be left out."""
    if pruner == "median":
        return [s for s in steps if s == step]
    if pruner == "halving":
        told = sorted(steps)
        rungs, rung = [], first
        while rung <= step:
            rungs.append(next((s for s in told if s >= rung), None))
            rung *= REDUCTION
        return sorted({s for s in rungs if s is not None})
    return []
