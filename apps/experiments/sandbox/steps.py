"""Which steps of a long learning process are worth a point on a curve."""

from __future__ import annotations


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
