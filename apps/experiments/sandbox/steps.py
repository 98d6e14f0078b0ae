"""Which steps of a long learning process are worth a point on a curve, or a look on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Each look comes half as many steps again after the one before.
GROWTH = 1.5


def spaced_steps(total: int, points: int) -> list[int]:
    """At most `points` whole steps from 1 to `total`, both included, evenly spaced.

    >>> spaced_steps(10, 4)
    [1, 4, 7, 10]
    """
    if total <= 0:
        return []
    if total <= points:
        return list(range(1, total + 1))
    width = (total - 1) / (points - 1)
    return sorted({round(1 + n * width) for n in range(points)})


def told_steps(total: int) -> list[int]:
    """The steps before `total` at which a training tells how good it is: the same for every total, so that
    trainings of different length can be compared.

    >>> told_steps(20)
    [1, 2, 3, 5, 8, 12, 18]
    """
    found, step = [], 1
    while step < total:
        found.append(step)
        step = max(step + 1, round(step * GROWTH + 0.01))
    return found


def grow(
    estimator: Any, parameter: str, features: Any, target: Any, tell: Callable[[int, Any], None]
) -> None:
    """Fit an estimator that can go on from where it was (warm_start) and tell at `told_steps`.

    parameter: the name of its number of steps. The result is that of one fit.
    """
    total = estimator.get_params()[parameter]
    for step in told_steps(total):
        estimator.set_params(**{parameter: step, "warm_start": True}).fit(features, target)
        tell(step, estimator)
    estimator.set_params(**{parameter: total}).fit(features, target)
    estimator.set_params(warm_start=False)
