"""Figures of columns: from a profile (see sandbox.profile) to Plotly dictionaries. Pure."""

from __future__ import annotations

import itertools
from typing import Any

REST = "all others"


def column_figure(column: dict[str, Any]) -> dict[str, Any] | None:
    """The distribution of one column: a histogram where there is one, else its most frequent values."""
    histogram = column.get("histogram")
    if histogram and histogram["counts"]:
        return _histogram(column, histogram)
    counts = frequent(column)
    return _bars(column, counts) if counts else None


def frequent(column: dict[str, Any]) -> list[tuple[str, int]]:
    """(value, rows) of the most frequent values, and of what is left."""
    if column["type"] == "boolean":
        return [("true", column.get("true", 0)), ("false", column.get("false", 0))]
    counts = [(word_of(item["value"]), int(item["count"])) for item in column.get("top", [])]
    rest = column["count"] - column["missing"] - sum(count for _, count in counts)
    return [*counts, (REST, rest)] if counts and rest > 0 else counts


def word_of(value: Any) -> str:
    """A value as a label."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _histogram(column: dict[str, Any], histogram: dict[str, Any]) -> dict[str, Any]:
    edges, counts = histogram["edges"], histogram["counts"]
    trace: dict[str, Any] = {
        "type": "bar",
        "y": counts,
        "name": column["name"],
        "customdata": [[first, last] for first, last in itertools.pairwise(edges)],
        "hovertemplate": "%{customdata[0]} to %{customdata[1]}<br>%{y:,} rows<extra></extra>",
    }
    layout: dict[str, Any] = {
        "bargap": 0.04,
        "showlegend": False,
        "yaxis": {"title": {"text": "rows"}},
        "xaxis": {"title": {"text": column["name"]}},
    }
    if column["type"] in ("date", "datetime"):
        trace["x"] = edges[:-1]
        layout["xaxis"]["type"] = "date"
    elif column["type"] == "integer" and len(counts) < 30 and all(edge == int(edge) for edge in edges):
        trace["x"] = [int(edge) for edge in edges[:-1]]
        trace["hovertemplate"] = "%{x}<br>%{y:,} rows<extra></extra>"
        del trace["customdata"]
    else:
        trace["x"] = [(first + last) / 2 for first, last in itertools.pairwise(edges)]
        trace["width"] = [last - first for first, last in itertools.pairwise(edges)]
    return {"data": [trace], "layout": layout}


def _bars(column: dict[str, Any], counts: list[tuple[str, int]]) -> dict[str, Any]:
    known = max(1, column["count"] - column["missing"])
    labels = [label if len(label) <= 32 else label[:31] + "…" for label, _ in counts]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                # Equal labels (after cutting) would fall on one bar: positions carry the bars, labels the ticks.
                "y": list(range(len(counts))),
                "x": [count for _, count in counts],
                "customdata": [
                    [label, count / known] for label, (_, count) in zip(labels, counts, strict=True)
                ],
                "hovertemplate": "%{customdata[0]}<br>%{x:,} rows (%{customdata[1]:.1%})<extra></extra>",
            }
        ],
        "layout": {
            "showlegend": False,
            "bargap": 0.25,
            "xaxis": {"title": {"text": "rows"}},
            "yaxis": {
                "autorange": "reversed",
                "tickmode": "array",
                "tickvals": list(range(len(counts))),
                "ticktext": labels,
                "automargin": True,
            },
        },
    }
