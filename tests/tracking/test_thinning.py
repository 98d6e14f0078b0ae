"""Curves keep their shape with fewer points."""

from __future__ import annotations

import math

from adapters.tracking.protocol import MetricPoint
from adapters.tracking.thinning import thin


def curve(values: list[float]) -> list[MetricPoint]:
    return [MetricPoint(step, step, value) for step, value in enumerate(values)]


def test_a_short_curve_is_left_alone() -> None:
    points = curve([1.0, 2.0, 3.0])
    assert thin(points, 3) == points
    assert thin([], 10) == []


def test_it_returns_exactly_the_target_in_order_with_both_ends() -> None:
    points = curve([math.sin(i / 10) for i in range(5000)])
    thinned = thin(points, 100)
    assert len(thinned) == 100
    assert thinned[0] == points[0]
    assert thinned[-1] == points[-1]
    assert [p.step for p in thinned] == sorted({p.step for p in thinned})


def test_a_single_spike_survives() -> None:
    values = [0.0] * 1000
    values[777] = 9.0
    assert 9.0 in [p.value for p in thin(curve(values), 10)]


def test_values_that_are_not_finite_and_equal_steps_do_no_harm() -> None:
    values = [math.nan if i % 7 == 0 else math.inf if i % 11 == 0 else float(i) for i in range(300)]
    assert len(thin(curve(values), 30)) == 30
    assert len(thin([MetricPoint(0, i, float(i)) for i in range(300)], 30)) == 30
