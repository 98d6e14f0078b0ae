"""How much each searched parameter decided about good values: PED-ANOVA, in plain Python.

Watanabe, Bansal, Hutter: "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces",
IJCAI 2023 (arXiv 2304.10255), with the treatment of conditional parameters of arXiv 2601.20800. Per parameter it
compares where the best tenth of the trials lie with where all lie: the Pearson divergence of the two densities.
Optuna has the same method, but importing it costs a web process 0.5 s and numpy; tests hold ours against it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.tuning.space import Dimension

METHOD = "PED-ANOVA"
#: With fewer complete trials the best tenth is one or two, and their place is chance.
FEWEST_TRIALS = 10
TOP_SHARE = 0.1
GRID = 50
#: A uniform kernel of this weight keeps an empty region from counting as forbidden.
PRIOR = 1.0
#: Narrower kernels would leave gaps between the points of the grid: 90 % of one lies within its own cell.
NARROWEST = 0.5 / 1.64


@dataclass(frozen=True)
class Importances:
    """shares: (parameter, share of 0 to 1), largest first; trials: how many complete ones they come from."""

    shares: list[tuple[str, float]]
    trials: int

    def as_json(self) -> dict[str, Any]:
        """For GET /studies/{name}/importances."""
        return {"method": METHOD, "trials": self.trials, "importances": dict(self.shares)}


def importances_of(
    dimensions: Sequence[Dimension], trials: Sequence[tuple[Mapping[str, Any], float]], *, maximize: bool
) -> Importances | None:
    """trials: (parameters, value) of the complete ones. None when there are too few, or all are alike."""
    if len(trials) < FEWEST_TRIALS or len({value for _, value in trials}) < 2:
        return None
    ranked = sorted(trials, key=lambda trial: trial[1], reverse=maximize)
    top_count = max(2, math.ceil(TOP_SHARE * len(ranked)))
    limit = ranked[top_count - 1][1]
    top = [p for p, value in ranked if (value >= limit if maximize else value <= limit)]
    if len(top) == len(ranked):
        return None
    everything = [p for p, _ in ranked]
    found = {d.name: _importance(d, top, everything) for d in dimensions if d.points > 1}
    total = sum(found.values())
    if not total:
        return None
    shares = [(name, value / total) for name, value in found.items()]
    return Importances(sorted(shares, key=lambda share: (-share[1], share[0])), len(ranked))


def _importance(
    dimension: Dimension, top: Sequence[Mapping[str, Any]], everything: Sequence[Mapping[str, Any]]
) -> float:
    """Divergence where the parameter exists, weighted by how often the best ones had it."""
    good = [p[dimension.name] for p in top if dimension.name in p]
    every = [p[dimension.name] for p in everything if dimension.name in p]
    if not good or len(every) < 2:
        return 0.0
    weight = (len(good) / len(top)) ** 2 / (len(every) / len(everything))
    density_top, density_all = _density(dimension, good), _density(dimension, every)
    divergence = sum(
        local * (best / local - 1) ** 2 for best, local in zip(density_top, density_all, strict=True)
    )
    return weight * divergence


def _density(dimension: Dimension, values: Sequence[Any]) -> list[float]:
    """The share of each cell of the dimension's grid, smoothed; never zero."""
    if dimension.type == "categorical":
        return _of_choices(list(dimension.choices), values)
    counts = _on_grid(dimension, values)
    cells = len(counts)
    places = [(place, count) for place, count in enumerate(counts) if count]
    width = _bandwidth(places)
    density = [0.0] * cells
    kernels = [(float(place), width, float(count)) for place, count in places]
    kernels.append(((cells - 1) / 2, float(cells), PRIOR))
    for middle, sigma, share in kernels:
        edges = [_normal((cell - 0.5 - middle) / sigma) for cell in range(cells + 1)]
        inside = (edges[-1] - edges[0]) or 1.0
        for cell in range(cells):
            density[cell] += share * (edges[cell + 1] - edges[cell]) / inside
    total = len(values) + PRIOR
    return [value / total + 1e-12 for value in density]


def _of_choices(choices: list[Any], values: Sequence[Any]) -> list[float]:
    """Every kernel spreads a part of itself over all choices, as those of numbers do over their neighbours."""
    counts = [0] * len(choices)
    for value in values:
        counts[choices.index(value)] += 1
    spread = PRIOR / (sum(1 for count in counts if count) + 1)
    inside = 1 + spread * len(choices)
    total = len(values) + PRIOR
    return [
        (count * (1 + spread) + (len(values) - count) * spread) / inside / total
        + PRIOR / len(choices) / total
        for count in counts
    ]


def _on_grid(dimension: Dimension, values: Sequence[Any]) -> list[int]:
    """How many of the values lie in each cell, on the dimension's own scale."""
    assert dimension.low is not None
    assert dimension.high is not None
    scale = math.log if dimension.log else float
    low, high = scale(dimension.low), scale(dimension.high)
    if dimension.log and dimension.type == "int":
        cells = min(GRID, math.ceil(math.log2(dimension.high - dimension.low + 1)) + 1)
    else:
        cells = int(min(GRID, dimension.points))
    counts = [0] * cells
    for value in values:
        place = math.ceil((scale(value) - low) / (high - low) * (cells - 1) - 0.5)
        counts[max(0, min(cells - 1, place))] += 1
    return counts


def _bandwidth(places: Sequence[tuple[int, int]]) -> float:
    """Scott's rule, 1.059 s n^(-1/5), with the smaller of deviation and quartile distance as s."""
    total = sum(count for _, count in places)
    mean = sum(place * count for place, count in places) / total
    deviation = math.sqrt(sum(count * (place - mean) ** 2 for place, count in places) / max(1, total - 1))
    quartiles = [_quantile(places, total // 4), _quantile(places, total * 3 // 4 + 1)]
    spread = min((quartiles[1] - quartiles[0]) / 1.34, deviation)
    return max(NARROWEST, 1.059 * spread * math.pow(total, -0.2))


def _quantile(places: Sequence[tuple[int, int]], wanted: int) -> int:
    seen = 0
    for place, count in places:
        seen += count
        if seen >= wanted:
            return place
    return places[-1][0]


def _normal(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2
