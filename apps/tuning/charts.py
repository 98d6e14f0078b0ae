"""Figures of studies: plain Plotly dictionaries out of trials. Colours are tokens, filled in by the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.experiments.metric_catalogue import title
from apps.tuning.importances import FEWEST_TRIALS, Importances
from apps.tuning.models import Study
from apps.tuning.parallel import HUE_WORDS, HUES, Parallel, parallel_of
from apps.tuning.reading import Point, importances_of_study, points_of
from apps.tuning.states import TrialState
from foundation.ui.figures import MAX_POINTS, thin_out

Figure = dict[str, Any]


def history_figure(study: Study) -> Figure:
    """The value of every trial by its number, with the best so far."""
    return history(points_of(study), metric=study.metric, maximize=study.maximizes)


def importances_figure(study: Study) -> Figure:
    """How much each parameter decided about good values."""
    return importances(importances_of_study(study))


def parallel_figure(study: Study) -> Figure:
    """One line a trial through all parameters to its value."""
    return parallel(parallel_of(study))


def best_so_far(points: Sequence[Point], *, maximize: bool) -> list[float | None]:
    """The best value of the complete trials up to each one; None before the first."""
    best: float | None = None
    found: list[float | None] = []
    for point in points:
        if point.state == TrialState.COMPLETE and point.value is not None:
            better = best is None or (point.value > best if maximize else point.value < best)
            best = point.value if better else best
        found.append(best)
    return found


def history(points: Sequence[Point], *, metric: str, maximize: bool) -> Figure:
    """points: in the order of their numbers; of more than 1,000 the telling ones are kept.

    A pruned or running trial stands at its last intermediate value, a failed one at the foot of the chart.
    All series share their x, so that "view data" is one row a trial.
    """
    best = best_so_far(points, maximize=maximize)
    kept = _telling(points, best)
    shown, best = [points[n] for n in kept], [_short(best[n]) for n in kept]
    numbers = [point.number for point in shown]
    name = title(metric)
    data: list[dict[str, Any]] = []
    for state, word, marker in (
        (TrialState.COMPLETE, "complete", {"color": "var(--series-1)", "size": 7}),
        (TrialState.PRUNED, "pruned", {"color": "var(--ink-3)", "size": 7, "symbol": "x-thin-open"}),
        (TrialState.RUNNING, "running", {"color": "var(--blue)", "size": 8, "symbol": "circle-open"}),
    ):
        if any(point.state == state for point in shown):
            values = [_short(point.latest) if point.state == state else None for point in shown]
            hover = f"trial %{{x}}<br>{name} %{{y:.5g}}<extra>{word}</extra>"
            data.append(_markers(word, numbers, values, marker, hover))
    if any(value is not None for value in best):
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "best so far",
                "x": numbers,
                "y": best,
                "line": {"shape": "hv", "width": 2, "color": "var(--series-2)"},
                "hovertemplate": f"best up to trial %{{x}}<br>{name} %{{y:.5g}}<extra></extra>",
            }
        )
    layout = _layout("trial", name)
    last = points[-1].number if points else 1
    layout["xaxis"] |= {"zeroline": False, "range": [-0.5 - last / 100, last + 0.5 + last / 100]}
    if any(point.state == TrialState.FAILED for point in shown):
        feet = [0.02 if point.state == TrialState.FAILED else None for point in shown]
        marker = {"color": "var(--red)", "size": 8, "symbol": "triangle-up"}
        trace = _markers("failed", numbers, feet, marker, "trial %{x}<extra>failed</extra>")
        data.append(trace | {"yaxis": "y2"})
        layout["yaxis2"] = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    if len(points) < 12:
        layout["xaxis"] |= {"dtick": 1}
    return {"data": data, "layout": layout | {"showlegend": True}}


def _short(value: float | None) -> float | None:
    """Six digits: more cannot be seen, and a page holds thousands of them."""
    return None if value is None else float(f"{value:.6g}")


def _layout(x: str, y: str) -> dict[str, Any]:
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}


def _markers(
    name: str, x: list[int], y: Sequence[float | None], marker: dict[str, Any], hover: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": x,
        "y": list(y),
        "marker": marker,
        "hovertemplate": hover,
    }


def _telling(points: Sequence[Point], best: Sequence[float | None]) -> list[int]:
    """Places of at most 1,000 trials: every improvement of the best, and what shapes the cloud."""
    if len(points) <= MAX_POINTS:
        return list(range(len(points)))
    places = [float(n) for n in range(len(points))]
    heights = [
        value if (value := point.latest) is not None else (known if known is not None else 0.0)
        for point, known in zip(points, best, strict=True)
    ]
    better = [n for n in range(1, len(points)) if best[n] != best[n - 1]][-MAX_POINTS // 4 :]
    chosen, _ = thin_out(places, heights, MAX_POINTS - len(better))
    return sorted({int(place) for place in chosen} | set(better))


def importances(found: Importances | None) -> Figure:
    """Bars with each parameter's share, largest on top; without enough trials a figure that says so."""
    if found is None:
        text = f"Needs {FEWEST_TRIALS} complete trials with different values."
        note = {"text": text, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
        return {"data": [], "layout": {"annotations": [note]}}
    shown = found.shares[::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [round(share, 4) for _, share in shown],
        "y": [name for name, _ in shown],
        "text": [f"{share:.0%}" for _, share in shown],
        "textposition": "auto",
        "cliponaxis": False,
        "marker": {"color": "var(--series-1)"},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    layout = _layout("share of the importance", "")
    layout["xaxis"] |= {"tickformat": ".0%", "rangemode": "tozero"}
    layout["yaxis"] |= {"type": "category", "automargin": True}
    return {"data": [bars], "layout": layout | {"showlegend": False, "bargap": 0.35}}


def parallel(picture: Parallel) -> Figure:
    """Lines in as many traces as there are hues, so that no trace is long and none needs eval."""
    count = len(picture.axes)
    data: list[dict[str, Any]] = []
    for hue in range(HUES):
        xs: list[float | None] = []
        ys: list[float | None] = []
        texts: list[str | None] = []
        for line in picture.lines:
            if line.hue == hue:
                xs += [*[float(n) for n in range(count)], None]
                ys += [*line.heights, None]
                texts += [*[f"trial {line.number}<br>{text}" for text in line.texts], None]
        limit = MAX_POINTS // (count + 1) * (count + 1)
        share = round(hue / (HUES - 1), 3)
        if xs:
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": xs[-limit:],
                    "y": ys[-limit:],
                    "text": texts[-limit:],
                    "hovertemplate": "%{text}<extra></extra>",
                    "line": {"color": f"var(--value-{hue})", "width": 1 + share},
                    "name": HUE_WORDS[hue],
                    "connectgaps": False,
                }
            )
    axis = {"visible": False, "range": [-0.03, 1.03], "fixedrange": True}
    ticks = [
        {
            "x": n,
            "y": tick.height,
            "text": tick.text,
            "showarrow": False,
            "xanchor": "left",
            "xshift": 4,
            "font": {"size": 10},
        }
        for n, one in enumerate(picture.axes)
        for tick in one.ticks
    ]
    rules = [
        {
            "type": "line",
            "x0": n,
            "x1": n,
            "y0": 0,
            "y1": 1,
            "layer": "below",
            "line": {"width": 1, "color": "var(--chart-axis)"},
        }
        for n in range(count)
    ]
    layout = {
        "xaxis": {
            "tickmode": "array",
            "tickvals": list(range(count)),
            "ticktext": [one.title for one in picture.axes],
            "side": "top",
            "showgrid": False,
            "zeroline": False,
            "range": [-0.2, max(count - 0.6, 0.4)],
        },
        "yaxis": axis,
        "annotations": ticks,
        "shapes": rules,
        "legend": {"orientation": "h", "y": -0.02, "yanchor": "top"},
    }
    return {"data": data, "layout": layout}
