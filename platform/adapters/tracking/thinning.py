"""Fewer points that draw the same curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

from adapters.tracking.protocol import MetricPoint


def thin(points: Sequence[MetricPoint], target: int) -> list[MetricPoint]:
    """At most `target` points (≥ 3) that keep the shape: the Largest-Triangle-Three-Buckets selection.

    The first and last point stay; of each bucket between them, the point that spans the largest triangle
    with the point chosen before and the mean of the bucket after it. x is the step, or the position when
    steps do not grow. Values that are not finite count as 0 when areas are measured.
    Source: Sveinn Steinarsson, Downsampling Time Series for Visual Representation, 2013, section 4.2.
    """
    size = len(points)
    if size <= target or target < 3:
        return list(points)
    steps = points[-1].step > points[0].step
    xs = [float(p.step) if steps else float(i) for i, p in enumerate(points)]
    ys = [p.value if math.isfinite(p.value) else 0.0 for p in points]
    every = (size - 2) / (target - 2)
    chosen = [points[0]]
    last = 0
    for bucket in range(target - 2):
        start, stop = int(bucket * every) + 1, int((bucket + 1) * every) + 1
        after = range(stop, min(int((bucket + 2) * every) + 1, size)) or range(size - 1, size)
        mean_x = sum(xs[i] for i in after) / len(after)
        mean_y = sum(ys[i] for i in after) / len(after)
        best, area = start, -1.0
        for i in range(start, stop):
            a = abs((xs[last] - mean_x) * (ys[i] - ys[last]) - (xs[last] - xs[i]) * (mean_y - ys[last]))
            if a > area:
                best, area = i, a
        chosen.append(points[best])
        last = best
    chosen.append(points[-1])
    return chosen
