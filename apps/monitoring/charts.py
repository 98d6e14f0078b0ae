"""Figures of monitoring: plain Plotly dictionaries out of plain data. Colours are tokens, filled in by the page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from foundation.ui.series import series_colour

BASELINE_COLOUR, WINDOW_COLOUR = series_colour(1), series_colour(2)
# Lines over time show at most this many features: more cannot be told apart.
LINES = 8


def distribution(labels: Sequence[str], baseline: Sequence[float], window: Sequence[float]) -> dict[str, Any]:
    """Shares of the rows in every bin, baseline beside window."""
    bars = [("Baseline", baseline, BASELINE_COLOUR), ("Window", window, WINDOW_COLOUR)]
    return {
        "data": [
            {
                "type": "bar",
                "name": name,
                "x": list(labels),
                "y": [round(share, 6) for share in shares],
                "marker": {"color": colour},
                "hovertemplate": "%{x}<br>%{y:.1%}<extra>" + name + "</extra>",
            }
            for name, shares, colour in bars
        ],
        "layout": {
            "barmode": "group",
            "bargap": 0.25,
            "xaxis": {"type": "category", "automargin": True},
            "yaxis": {"tickformat": ".0%", "rangemode": "tozero", "title": {"text": "Share of rows"}},
            "legend": {"orientation": "h"},
        },
    }


def heat(
    moments: Sequence[str], features: Sequence[str], drifts: Sequence[Sequence[float | None]]
) -> dict[str, Any]:
    """The drift of every feature in every window, one row a feature, the first on top."""
    return {
        "data": [
            {
                "type": "heatmap",
                "x": list(moments),
                "y": list(features),
                "z": [list(row) for row in drifts],
                "zmin": 0,
                "zmax": max([0.3, *(value for row in drifts for value in row if value is not None)]),
                "xgap": 2,
                "ygap": 2,
                "colorbar": {"thickness": 10, "title": {"text": "Drift"}},
                "hovertemplate": "%{y}<br>%{x}<br>drift %{z:.3f}<extra></extra>",
            }
        ],
        "layout": {
            "xaxis": {"type": "category", "automargin": True, "showgrid": False},
            "yaxis": {"autorange": "reversed", "automargin": True, "showgrid": False},
        },
    }


def lines(
    moments: Sequence[datetime],
    series: Sequence[tuple[str, Sequence[float | None]]],
    *,
    title: str,
    threshold: float | None = None,
    from_zero: bool = True,
) -> dict[str, Any]:
    """Values over time, one line a series; `threshold` adds a dashed line."""
    x = [moment.isoformat() for moment in moments]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": x,
            "y": list(values),
            "line": {"color": series_colour(place + 1), "width": 2},
            "marker": {"size": 5},
        }
        for place, (name, values) in enumerate(series[:LINES])
    ]
    layout: dict[str, Any] = {
        "xaxis": {"type": "date"},
        "yaxis": {"rangemode": "tozero" if from_zero else "normal", "title": {"text": title}},
        "legend": {"orientation": "h"},
    }
    if threshold is not None and x:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"Threshold {threshold:g}",
                "x": [x[0], x[-1]],
                "y": [threshold, threshold],
                "line": {"dash": "dash", "width": 1, "color": "var(--ink-3)"},
                "hoverinfo": "skip",
            }
        )
    return {"data": data, "layout": layout}
