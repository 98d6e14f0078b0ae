"""All points of a finite search space."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

from adapters.search.protocol import Dimension

#: Larger spaces are not listed.
GRID_AT_MOST = 10_000


def values_of(dimension: Dimension) -> list[Any]:
    """Every value of a finite dimension, in order."""
    if dimension.type == "categorical":
        return list(dimension.choices)
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.low == dimension.high:
        return [dimension.low]
    step = dimension.step or 1
    values = [dimension.low + n * step for n in range(int(dimension.points))]
    # 0.1 + 2 * 0.1 is written 0.3 by people.
    return values if dimension.type == "int" else [float(f"{value:.12g}") for value in values]


def grid_size(space: Sequence[Dimension]) -> int | None:
    """How many points the space has; None when it is infinite or larger than GRID_AT_MOST."""
    if math.prod(d.points for d in space) > GRID_AT_MOST:
        return None
    return sum(1 for _ in _walk(list(space), {}))


def grid_points(space: Sequence[Dimension], seed: int) -> list[dict[str, Any]]:
    """The points of a finite space in an order that the seed shuffles: the first few are spread as well."""
    points = list(_walk(list(space), {}))
    random.Random(seed).shuffle(points)  # noqa: S311  (an order, no secret)
    return points


def _walk(space: list[Dimension], chosen: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not space:
        yield dict(chosen)
        return
    first, rest = space[0], space[1:]
    if not first.active(chosen):
        yield from _walk(rest, chosen)
        return
    for value in values_of(first):
        yield from _walk(rest, {**chosen, first.name: value})
