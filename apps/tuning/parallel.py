"""The parallel view: one vertical axis a parameter, the last for the value, one line a trial.

All heights lie between 0 (foot) and 1 (top). The page draws it as SVG (drawing.py), the API as a figure (charts.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.experiments.metric_catalogue import title
from apps.tuning.models import Study
from apps.tuning.reading import Point, complete, dimensions_of, points_of
from apps.tuning.space import Dimension
from foundation.ui.values import number as number_text

#: Colours from the worst fifth of the values to the best.
HUES = 5
HUE_WORDS = ("worst fifth", "second", "middle", "fourth", "best fifth")
#: More lines only make a grey band: the best half of these, and the others evenly out of the rest.
LINES_AT_MOST = 150
_NEAR = 0.045


@dataclass(frozen=True)
class Tick:
    """A word beside an axis."""

    height: float
    text: str


@dataclass(frozen=True)
class Axis:
    """One vertical axis."""

    name: str
    title: str
    ticks: list[Tick]
    log: bool = False


@dataclass(frozen=True)
class Line:
    """One trial. heights: per axis, None where the parameter did not exist; texts: its values in words."""

    number: int
    run: str
    value: float
    hue: int
    heights: list[float | None]
    texts: list[str]
    best: bool = False


@dataclass(frozen=True)
class Parallel:
    """lines: worst first, so that the best lie on top; total: how many complete trials there are."""

    axes: list[Axis]
    lines: list[Line]
    total: int


def parallel_of(study: Study, points: Sequence[Point] | None = None) -> Parallel:
    """The view of a study; only complete trials have a place in it."""
    found = complete(points_of(study) if points is None else points)
    dimensions = dimensions_of(study)
    best_last = sorted(found, key=lambda p: p.value or 0.0, reverse=not study.maximizes)
    shown = _chosen(best_last)
    values = [p.value for p in shown if p.value is not None]
    axes = [*[_axis(d) for d in dimensions], _value_axis(study.metric, values)]
    place = {p.number: n for n, p in enumerate(best_last)}
    lines = [
        Line(
            number=p.number,
            run=p.run,
            value=p.value or 0.0,
            hue=min(HUES - 1, place[p.number] * HUES // max(1, len(best_last))),
            heights=[
                *[height_of(d, p.parameters[d.name]) if d.name in p.parameters else None for d in dimensions],
                _share(p.value or 0.0, min(values), max(values)),
            ],
            texts=[
                *[
                    f"{d.name} {show(p.parameters[d.name])}" if d.name in p.parameters else f"{d.name} –"
                    for d in dimensions
                ],
                f"{title(study.metric)} {number_text(p.value)}",
            ],
            best=place[p.number] == len(best_last) - 1,
        )
        for p in shown
    ]
    return Parallel(axes, lines, len(found))


def _chosen(best_last: Sequence[Point]) -> list[Point]:
    if len(best_last) <= LINES_AT_MOST:
        return list(best_last)
    half = LINES_AT_MOST // 2
    rest = best_last[:-half]
    return [*[rest[n * len(rest) // half] for n in range(half)], *best_last[-half:]]


def height_of(dimension: Dimension, value: Any) -> float | None:
    """Where a value stands on the axis of its dimension; None for one that it does not have."""
    if dimension.type == "categorical":
        known = [show(choice) for choice in dimension.choices]
        if show(value) not in known:
            return None
        return round((known.index(show(value)) + 0.5) / len(known), 4)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.log:
        return _share(math.log(value), math.log(dimension.low), math.log(dimension.high))
    return _share(value, dimension.low, dimension.high)


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high <= low else round(max(0.0, min(1.0, (value - low) / (high - low))), 4)


def show(value: Any) -> str:
    """A value of a parameter in words."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.4g}"
    return number_text(value) if isinstance(value, int) else str(value)


def _axis(dimension: Dimension) -> Axis:
    if dimension.type == "categorical":
        words = [show(choice) for choice in dimension.choices]
        ticks = [Tick(round((n + 0.5) / len(words), 4), word) for n, word in enumerate(words)]
        return Axis(dimension.name, dimension.name, ticks if len(ticks) <= 12 else ticks[:: len(ticks) // 8])
    assert dimension.low is not None
    assert dimension.high is not None
    between = _round_numbers(dimension.low, dimension.high, log=dimension.log)
    if dimension.type == "int":
        between = [value for value in between if value == int(value)]
    ticks = _apart([(height_of(dimension, v) or 0.0, v) for v in [dimension.low, dimension.high, *between]])
    return Axis(dimension.name, dimension.name, ticks, dimension.log)


def _value_axis(metric: str, values: Sequence[float]) -> Axis:
    if not values:
        return Axis("", title(metric), [])
    low, high = min(values), max(values)
    inside = [low, high, *_round_numbers(low, high, log=False)]
    return Axis("", title(metric), _apart([(_share(v, low, high), v) for v in inside]))


def _round_numbers(low: float, high: float, *, log: bool) -> list[float]:
    """Numbers between low and high that people like: powers of ten, or about four even steps."""
    if high <= low:
        return []
    if log:
        powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
        found = [10.0**power for power in powers]
        if len(found) < 3:
            found = sorted({*found, *[m * 10.0 ** (p - 1) for p in [*powers, powers.stop] for m in (2, 5)]})
        return [value for value in found if low < value < high]
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    count = int((high - first * step) / step + 1e-9) + 1
    return [round((first + n) * step, 12) for n in range(count)]


def _apart(wanted: Sequence[tuple[float, float]]) -> list[Tick]:
    """Ticks in order of importance, without those that would stand on one another."""
    kept: list[Tick] = []
    for height, value in wanted:
        if all(abs(height - tick.height) >= _NEAR for tick in kept):
            kept.append(Tick(height, show(value)))
    return sorted(kept, key=lambda tick: tick.height)
