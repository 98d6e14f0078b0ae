"""Figures on the wire: plain Plotly dictionaries, as charts.py modules build them.

A figure is ``{"data": [traces], "layout": {...}}`` with plain lists. Colours are left out, or named as tokens
(``var(--series-3)``, see foundation.ui.series): static/js/charts.js dresses it in the page's theme.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified

#: traces that call eval, which the content-security policy forbids
FORBIDDEN_TRACES = frozenset({"parcoords", "splom", "scattergl", "scatterpolargl"})
MAX_POINTS = 1000


def figure_json(figure: Any, *, live: bool = False) -> str:
    """A figure as JSON; NaN and infinity become null, which JSON and Plotly both take for a gap.

    Raises ``ValueError`` for a trace type that the content-security policy forbids.
    """
    if hasattr(figure, "to_plotly_json"):
        figure = figure.to_plotly_json()
    for trace in figure.get("data", ()):
        if trace.get("type") in FORBIDDEN_TRACES:
            raise ValueError(f"Plotly's {trace['type']} needs eval; use an SVG trace.")
    document = {"data": figure.get("data", []), "layout": figure.get("layout", {}), "live": live}
    return json.dumps(_plain(document), separators=(",", ":"), allow_nan=False)


def figure_response(request: HttpRequest, figure: Any, *, live: bool = False) -> HttpResponse:
    """A figure as an answer with an ETag; ``live`` asks the page to come again."""
    body = figure_json(figure, live=live)
    etag = f'"{hashlib.blake2s(body.encode(), digest_size=12).hexdigest()}"'
    response: HttpResponse
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponseNotModified()
    else:
        response = HttpResponse(body, content_type="application/json")
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def thin_out(xs: list[float], ys: list[float], points: int = MAX_POINTS) -> tuple[list[float], list[float]]:
    """At most ``points`` of a curve, chosen by largest-triangle-three-buckets.

    Keeps the first and last point and, of each bucket between, the one that spans the largest triangle with
    its neighbours (Steinarsson 2013, "Downsampling Time Series for Visual Representation", section 4.2).
    """
    count = len(xs)
    if count <= points or points < 3:
        return xs, ys
    kept = [0]
    width = (count - 2) / (points - 2)
    for bucket in range(points - 2):
        start, end = int(bucket * width) + 1, int((bucket + 1) * width) + 1
        after = range(end, min(int((bucket + 2) * width) + 1, count))
        mean_x = sum(xs[i] for i in after) / len(after) if after else xs[-1]
        mean_y = sum(ys[i] for i in after) / len(after) if after else ys[-1]
        ax, ay = xs[kept[-1]], ys[kept[-1]]
        kept.append(
            max(
                range(start, end),
                key=lambda i: abs((ax - mean_x) * (ys[i] - ay) - (ax - xs[i]) * (mean_y - ay)),
            )
        )
    kept.append(count - 1)
    return [xs[i] for i in kept], [ys[i] for i in kept]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
