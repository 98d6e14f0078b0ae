"""Figures of runs: pure functions from plain data to Plotly figures as plain dicts.

Nothing here imports Plotly. Colours are left to the page's theme, except where a series stands for a run:
its colour is given as a token (foundation.ui.series). Only traces that draw without eval are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Figure = dict[str, Any]


def _figure(data: list[dict[str, Any]], title: str, x: str, y: str, **layout: Any) -> Figure:
    shape: dict[str, Any] = {
        **({"title": {"text": title}} if title else {}),
        "xaxis": {"title": {"text": x}} | layout.pop("xaxis", {}),
        "yaxis": {"title": {"text": y}} | layout.pop("yaxis", {}),
    }
    return {"data": data, "layout": shape | layout}


def confusion_matrix(data: Mapping[str, Any]) -> Figure:
    """Heatmap: rows = true class, columns = predicted class, shares of each row, counts as text."""
    counts = data["counts"]
    shares = [[v / sum(row) if sum(row) else 0.0 for v in row] for row in counts]
    few = len(counts) <= 20
    trace = {
        "type": "heatmap",
        "x": data["classes"],
        "y": data["classes"],
        "z": shares,
        "zmin": 0,
        "zmax": 1,
        "customdata": counts,
        "showscale": False,
        "hovertemplate": "true %{y}<br>predicted %{x}<br>%{customdata} rows (%{z:.1%})<extra></extra>",
        "xgap": 2,
        "ygap": 2,
    }
    if few:
        trace |= {"text": counts, "texttemplate": "%{text}"}
    return _figure(
        [trace],
        "Confusion matrix",
        "predicted",
        "true",
        xaxis={"type": "category", "showgrid": False},
        yaxis={"type": "category", "showgrid": False, "autorange": "reversed"},
    )


def _diagonal(name: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 1],
        "y": [0, 1],
        "name": name,
        "line": {"dash": "dot", "width": 1, "color": "#8a8f98"},
        "hoverinfo": "skip",
    }


def roc(curves: Sequence[Mapping[str, Any]]) -> Figure:
    """ROC curves, one line per class, with the area in the legend."""
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": c["x"],
            "y": c["y"],
            "name": f"{c['name']} (area {c['area']:.3f})",
        }
        for c in curves
    ]
    axis = {"range": [0, 1.01]}
    return _figure(
        [*data, _diagonal("chance")],
        "ROC curve",
        "false positive rate",
        "true positive rate",
        xaxis=axis,
        yaxis=axis,
    )


def precision_recall(curves: Sequence[Mapping[str, Any]]) -> Figure:
    """Precision over recall, one line per class, with the average precision in the legend."""
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": c["x"],
            "y": c["y"],
            "name": f"{c['name']} (average {c['area']:.3f})",
        }
        for c in curves
    ]
    axis = {"range": [0, 1.01]}
    return _figure(data, "Precision and recall", "recall", "precision", xaxis=axis, yaxis=axis)


def calibration(data: Mapping[str, Any]) -> Figure:
    """Observed share over predicted share: on the diagonal, probabilities can be taken at their word."""
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": data["x"],
        "y": data["y"],
        "customdata": data["rows"],
        "name": data["name"],
        "hovertemplate": "predicted %{x:.2f}<br>observed %{y:.2f}<br>%{customdata} rows<extra></extra>",
    }
    axis = {"range": [0, 1.01]}
    title = f"Calibration of '{data['name']}'"
    return _figure(
        [line, _diagonal("perfect")], title, "predicted share", "observed share", xaxis=axis, yaxis=axis
    )


def predicted_vs_true(data: Mapping[str, Any]) -> Figure:
    """Predicted over true values with the diagonal of perfect predictions."""
    ends = [min(data["true"]), max(data["true"])] if data["true"] else [0, 1]
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": data["true"],
        "y": data["predicted"],
        "name": "rows",
        "marker": {"size": 5, "opacity": 0.6},
    }
    line = _diagonal("perfect") | {"x": ends, "y": ends}
    return _figure([points, line], "Predicted against true", "true", "predicted")


def residuals(data: Mapping[str, Any]) -> Figure:
    """Residuals over predicted values: any pattern is something the model has not learned."""
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": data["predicted"],
        "y": data["residual"],
        "name": "rows",
        "marker": {"size": 5, "opacity": 0.6},
    }
    return _figure(
        [points],
        "Residuals",
        "predicted",
        "true minus predicted",
        yaxis={"zeroline": True, "zerolinewidth": 2},
    )


def permutation_importance(data: Mapping[str, Any], *, most: int = 15) -> Figure:
    """Bars with the fall of the score per shuffled column, the `most` important ones, largest on top."""
    shown = list(data["features"])[:most][::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [f["mean"] for f in shown],
        "y": [f["name"] for f in shown],
        "error_x": {"type": "data", "array": [f["std"] for f in shown], "thickness": 1},
        "hovertemplate": "%{y}: %{x:.4f}<extra></extra>",
    }
    return _figure(
        [bars],
        "Permutation importance",
        f"fall of {data['score']} when shuffled",
        "",
        yaxis={"type": "category", "automargin": True},
    )


def learning_curve(points: Sequence[Mapping[str, float]], score: str) -> Figure:
    """Score on training and held-out rows over the number of training rows."""
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": [p["rows"] for p in points],
            "y": [p[key] for p in points],
            "name": name,
        }
        for key, name in (("train", "training rows"), ("test", "held-out rows"))
    ]
    return _figure(data, "Learning curve", "training rows", score)


def metric_history(key: str, series: Sequence[Mapping[str, Any]], *, log_y: bool = False) -> Figure:
    """Metric over steps. series: [{"name", "colour", "steps": [int], "values": [float]}], one per run."""
    data = []
    for one in series:
        single = len(one["steps"]) == 1
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers" if single else "lines",
            "x": list(one["steps"]),
            "y": list(one["values"]),
            "name": one["name"],
        }
        if one.get("colour"):
            trace |= {"line": {"color": one["colour"], "width": 2}, "marker": {"color": one["colour"]}}
        data.append(trace)
    return _figure(data, "", "step", key, yaxis={"type": "log"} if log_y else {}, showlegend=len(data) > 1)


def metric_values(key: str, runs: Sequence[Mapping[str, Any]]) -> Figure:
    """One dot per run for a metric with a single value: bars from zero would hide small differences.

    runs: [{"name", "colour", "value"}].
    """
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": [r["value"] for r in runs],
        "y": [r["name"] for r in runs],
        "marker": {"color": [r["colour"] for r in runs], "size": 12},
        "hovertemplate": "%{y}: %{x:.4g}<extra></extra>",
    }
    axis = {"type": "category", "autorange": "reversed", "automargin": True}
    return _figure([dots], "", key, "", yaxis=axis, showlegend=False)
