"""The parallel view as SVG: lines stretch with the page, words do not. Every line leads to its trial's run."""

from __future__ import annotations

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.tuning.parallel import Axis, Line, Parallel

_TOP, _HEIGHT, _FOOT = 34, 300, 12
_LEFT = 4.0  # per cent before the first axis
_RIGHT = 12.0  # room for the words of the last


def draw_parallel(picture: Parallel, project: str) -> SafeString:
    """One picture; empty where no trial is complete."""
    if not picture.lines:
        return SafeString("")
    places = _places(len(picture.axes))
    axes = format_html_join(
        "", "{}", ((_axis(a, x, n),) for n, (a, x) in enumerate(zip(picture.axes, places, strict=True)))
    )
    lines = format_html_join("", "{}", ((_line(line, project),) for line in picture.lines))
    return format_html(
        '<svg class="parallel axes-{}" width="100%" height="{}" role="group" aria-label="Parallel view of {} trials">'
        '<svg x="{}%" y="{}" width="{}%" height="{}" viewBox="0 0 1000 1000" preserveAspectRatio="none" '
        'overflow="visible">{}</svg>{}</svg>',
        min(len(picture.axes), 12),
        _TOP + _HEIGHT + _FOOT,
        len(picture.lines),
        _LEFT,
        _TOP,
        100 - _LEFT - _RIGHT,
        _HEIGHT,
        lines,
        axes,
    )


def _places(count: int) -> list[float]:
    """Where the axes stand, in per cent of the width."""
    return [
        round(_LEFT + (100 - _LEFT - _RIGHT) * (n / (count - 1) if count > 1 else 0.5), 3)
        for n in range(count)
    ]


def _axis(axis: Axis, x: float, place: int) -> SafeString:
    ticks = format_html_join(
        "",
        '<text class="tick" x="{}%" dx="6" y="{}" dy="3.5">{}</text>',
        ((x, round(_TOP + _HEIGHT * (1 - tick.height), 1), tick.text) for tick in axis.ticks),
    )
    return format_html(
        '<line class="axis" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>'
        '<text class="name{6}" x="{7}" y="12">{3}</text><text class="scale{6}" x="{7}" y="25">{4}</text>{5}',
        x,
        _TOP,
        _TOP + _HEIGHT,
        axis.title,
        "log scale" if axis.log else "",
        ticks,
        "" if place else " first",
        f"{x}%" if place else "0",
    )


def _line(line: Line, project: str) -> SafeString:
    """A path whose pen is lifted where a parameter did not exist."""
    count = len(line.heights)
    path, pen = "", "M"
    for n, height in enumerate(line.heights):
        if height is None:
            pen = "M"
            continue
        across = 1000 * n / (count - 1) if count > 1 else 500
        path += f"{pen}{across:.0f} {1000 * (1 - height):.0f}"
        pen = "L"
    url = reverse("experiments:run", kwargs={"project": project, "run": line.run})
    return format_html(
        '<a href="{}" tabindex="-1" class="line value-{}{}"><title>Trial {}: {}</title><path d="{}"/></a>',
        url,
        line.hue,
        mark_safe(" best") if line.best else "",
        line.number,
        ", ".join([line.texts[-1], *line.texts[:-1]]),
        path,
    )
