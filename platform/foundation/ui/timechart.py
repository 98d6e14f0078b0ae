"""A quantity over time as an SVG by the server: no script, so that it can stand beside a log and refresh itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_WIDTH, _HEIGHT = 600.0, 96.0
#: So many places tell their values to a pointer that rests on them.
SPOTS = 60


def time_chart(
    seconds: Sequence[float],
    values: Sequence[float],
    *,
    write: Callable[[float], str],
    clock: Callable[[float], str],
    label: str,
    limit: float | None = None,
) -> SafeString:
    """An area over time, from 0 to a little above its highest value, with a line at the limit when that is near.

    seconds: of each value, growing; write and clock: a value and a moment in words; label: what a screen reader says.
    """
    top = max(max(values), 1e-9)
    near = limit is not None and limit <= top * 2
    scale = (max(top, limit) if near and limit is not None else top) * 1.08
    end = seconds[-1] or 1.0
    points = [
        (_WIDTH * moment / end, _HEIGHT * (1 - value / scale))
        for moment, value in zip(seconds, values, strict=True)
    ]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in [(0.0, points[0][1]), *points])
    at_limit = SafeString("")
    if near and limit is not None:
        y = f"{_HEIGHT * (1 - limit / scale):.1f}"
        at_limit = format_html('<line class="limit" x1="0" x2="{}" y1="{}" y2="{}"/>', int(_WIDTH), y, y)
    return format_html(
        '<svg class="time-chart" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path class="area" d="M0 {}L{}L{} {}Z"/><path class="line" d="M{}"/>{}{}</svg>',
        int(_WIDTH), int(_HEIGHT), label, int(_HEIGHT), line, f"{points[-1][0]:.1f}", int(_HEIGHT), line, at_limit,
        _spots(seconds, values, write, clock),
    )  # fmt: skip


def _spots(
    seconds: Sequence[float],
    values: Sequence[float],
    write: Callable[[float], str],
    clock: Callable[[float], str],
) -> SafeString:
    """Columns that nobody sees, each with its value: the highest of those that it covers."""
    each = max(1, -(-len(values) // SPOTS))
    end = seconds[-1] or 1.0
    columns = []
    for first in range(0, len(values), each):
        last = min(first + each, len(values)) - 1
        begin = seconds[first - 1] if first else 0.0
        x, width = _WIDTH * begin / end, _WIDTH * (seconds[last] - begin) / end
        words = f"{write(max(values[first : last + 1]))} at {clock(seconds[last])}"
        columns.append((f"{x:.1f}", f"{width:.1f}", int(_HEIGHT), words))
    return format_html_join(
        "", '<rect class="spot" x="{}" width="{}" height="{}"><title>{}</title></rect>', columns
    )
