"""Small pictures drawn as SVG by the server: no script, no style attribute, right in every theme."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from foundation.ui.values import number

_WIDTH, _HEIGHT = 96.0, 22.0


def sparkline(points: Sequence[float | None], *, css: str = "", label: str = "") -> SafeString:
    """A line through ``points`` (any unit; None is a gap), scaled to its own minimum and maximum."""
    known = [float(point) for point in points if point is not None]
    if len(known) < 2:
        return format_html('<span class="missing">{}</span>', number(known[0]) if known else "–")
    low, high = min(known), max(known)
    spread = (high - low) or 1.0
    step = (_WIDTH - 4) / (len(points) - 1)
    path, pen, x, y = "", "M", 0.0, 0.0
    for index, point in enumerate(points):
        if point is None:
            pen = "M"
            continue
        x = 2 + index * step
        y = 3 + (_HEIGHT - 6) * (1 - (float(point) - low) / spread) if high > low else _HEIGHT / 2
        path += f"{pen}{x:.1f} {y:.1f}"
        pen = "L"
    spoken = label or f"from {number(known[0])} to {number(known[-1])}"
    return format_html(
        '<svg class="sparkline {}" viewBox="0 0 {} {}" role="img" aria-label="{}"><path d="{}"/>'
        '<circle class="end" cx="{}" cy="{}" r="1.75"/></svg>',
        css, int(_WIDTH), int(_HEIGHT), spoken, path, f"{x:.1f}", f"{y:.1f}",
    )  # fmt: skip


def bar(share: float | None, *, tone: str = "", label: str = "") -> SafeString:
    """A bar filled to ``share`` (0 to 1, clipped); the number itself stands beside it in the table."""
    filled = 0.0 if share is None else max(0.0, min(1.0, float(share)))
    return format_html(
        '<svg class="cell-bar{}" viewBox="0 0 80 6" preserveAspectRatio="none" {}>'
        '<rect class="track" width="80" height="6" rx="2"/><rect class="fill" width="{}" height="6" rx="2"/></svg>',
        f" tone-{tone}" if tone else "",
        format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"'),
        f"{80 * filled:.1f}",
    )


def histogram(counts: Sequence[float], *, labels: Sequence[str] = (), label: str = "") -> SafeString:
    """Bars for ``counts``, scaled to the largest; a bin with any row is at least one pixel high."""
    if not counts:
        return mark_safe('<span class="missing">–</span>')
    top = max(float(count) for count in counts) or 1.0
    step = 112 / len(counts)
    bars = (
        (
            f"{index * step:.2f}",
            f"{24 - max(1.0 if count else 0.0, 24 * float(count) / top):.2f}",
            f"{max(step - 1, 0.75):.2f}",
            f"{max(1.0 if count else 0.0, 24 * float(count) / top):.2f}",
            f"{labels[index]}: {number(count)}" if index < len(labels) else number(count),
        )
        for index, count in enumerate(counts)
    )
    return format_html(
        '<svg class="histogram" viewBox="0 0 112 24" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path class="base" d="M0 24H112"/>{}</svg>',
        label or f"distribution in {len(counts)} bins",
        format_html_join("", '<rect x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>', bars),
    )
