"""Where the boxes and lines of a graph stand on the page. Pure functions: names and numbers, no HTML.

Layers follow each other along one axis (rightwards, or downwards on a narrow screen). Inside a layer the order keeps
lines from crossing (barycentre sweeps, Sugiyama et al. 1981, the best of several kept); then each box moves as near
as it can to the mean of its neighbours without touching the next one (least squares under these constraints, by
pooling adjacent violators). A line that skips layers holds a narrow lane in each of them, so that none runs through
a box.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.pipelines.graph import Graph

SWEEPS = 8
ROUNDS = 16
SNAP = 24  # pixels: two boxes that are nearly in line are put in line
LANE = 8
LIGHT = 0.01  # how much a lane resists, beside a box: it is the lane that makes way
Item = str | tuple[str, str, int]  # a node, or the lane of a line (source, target) in a layer


@dataclass(frozen=True)
class Sizes:
    """Of a box, and the room between boxes along and across the layers, and around all of them, in pixels."""

    width: int
    height: int
    along: int
    across: int
    pad: int = 14


@dataclass(frozen=True)
class Line:
    """From one box to another: the path of an SVG, and the middle of its first free stretch for a label."""

    source: str
    target: str
    path: str
    label: tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """boxes: the top left corner of each node."""

    width: int
    height: int
    sizes: Sizes
    boxes: Mapping[str, tuple[int, int]]
    lines: tuple[Line, ...]


def place(graph: Graph, sizes: Sizes, *, down: bool = False) -> Layout:
    """Lay a graph out rightwards, or downwards."""
    extent = sizes.width if down else sizes.height  # of a box across the layers
    depth = sizes.height if down else sizes.width
    level = {name: index for index, layer in enumerate(graph.layers) for name in layer}
    chains = {edge: _chain(edge, level) for edge in graph.edges}
    layers = _order(_with_lanes(graph, chains), chains)
    centres = _settle(layers, chains, extent, sizes.across)
    top = min((centres[item] - _extent(item, extent) / 2 for layer in layers for item in layer), default=0.0)
    centres = {item: value - top + sizes.pad for item, value in centres.items()}
    step = depth + sizes.along

    def begin(layer: int) -> int:
        return sizes.pad + layer * step

    boxes = {}
    for name, layer in level.items():
        across = round(centres[name] - extent / 2)
        boxes[name] = (across, begin(layer)) if down else (begin(layer), across)
    total = max(
        (round(centres[item] + _extent(item, extent) / 2) for layer in layers for item in layer), default=0
    )
    long = begin(len(layers)) - sizes.along
    return Layout(
        width=(total if down else long) + sizes.pad,
        height=(long if down else total) + sizes.pad,
        sizes=sizes,
        boxes=boxes,
        lines=tuple(_line(edge, chain, level, centres, begin, depth, down) for edge, chain in chains.items()),
    )


def _chain(edge: tuple[str, str], level: Mapping[str, int]) -> list[Item]:
    """The items a line runs through, both ends included."""
    source, target = edge
    lanes: list[Item] = [(source, target, layer) for layer in range(level[source] + 1, level[target])]
    return [source, *lanes, target]


def _with_lanes(graph: Graph, chains: Mapping[tuple[str, str], list[Item]]) -> list[list[Item]]:
    layers: list[list[Item]] = [list(layer) for layer in graph.layers]
    for chain in chains.values():
        for item in chain[1:-1]:
            assert isinstance(item, tuple)
            layers[item[2]].append(item)
    return layers


def _neighbours(
    chains: Mapping[tuple[str, str], list[Item]],
) -> tuple[dict[Item, list[Item]], dict[Item, list[Item]]]:
    """Of each item: those before it and those behind it."""
    before: dict[Item, list[Item]] = {}
    behind: dict[Item, list[Item]] = {}
    for chain in chains.values():
        for one, other in itertools.pairwise(chain):
            before.setdefault(other, []).append(one)
            behind.setdefault(one, []).append(other)
    return before, behind


def _order(layers: list[list[Item]], chains: Mapping[tuple[str, str], list[Item]]) -> list[list[Item]]:
    """The layers with few crossings."""
    before, behind = _neighbours(chains)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, behind)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        look = before if forward else behind
        indices = range(1, len(layers)) if forward else range(len(layers) - 2, -1, -1)
        for index in indices:
            beside = layers[index - 1] if forward else layers[index + 1]
            rank = {item: float(place) for place, item in enumerate(beside)}
            own = {item: float(place) for place, item in enumerate(layers[index])}
            layers[index] = sorted(
                layers[index],
                key=lambda item: (_mean([rank[n] for n in look.get(item, [])], own[item]), own[item]),
            )
        found = _crossings(layers, behind)
        if found < fewest:
            best, fewest = [list(layer) for layer in layers], found
    return best


def _crossings(layers: Sequence[Sequence[Item]], behind: Mapping[Item, Sequence[Item]]) -> int:
    total = 0
    for one, other in itertools.pairwise(layers):
        rank = {item: place for place, item in enumerate(other)}
        ends = [rank[n] for item in one for n in sorted(behind.get(item, []), key=rank.__getitem__)]
        total += sum(1 for i, a in enumerate(ends) for b in ends[i + 1 :] if a > b)
    return total


def _settle(
    layers: Sequence[Sequence[Item]],
    chains: Mapping[tuple[str, str], list[Item]],
    extent: int,
    gap: int,
) -> dict[Item, float]:
    """The centre of each item across the layers."""
    before, behind = _neighbours(chains)
    centres: dict[Item, float] = {}
    for layer in layers:
        spread = _spread(layer, extent, gap)
        middle = (spread[-1] if spread else 0.0) / 2
        centres |= {item: offset - middle for item, offset in zip(layer, spread, strict=True)}
    for turn in range(ROUNDS):
        for layer in layers if turn % 2 == 0 else reversed(layers):
            wanted = [
                _mean([centres[n] for n in _pulling(item, before, behind)], centres[item]) for item in layer
            ]
            centres |= _fit(layer, wanted, extent, gap)
    for layer in layers[1:]:
        centres |= _fit(layer, [_in_line(item, centres, before) for item in layer], extent, gap)
    return centres


def _fit(layer: Sequence[Item], wanted: Sequence[float], extent: int, gap: int) -> dict[Item, float]:
    """The centres of a layer nearest to the wanted ones at which nothing touches."""
    spread = _spread(layer, extent, gap)
    weights = [1.0 if isinstance(item, str) else LIGHT for item in layer]
    fitted = _monotone([w - s for w, s in zip(wanted, spread, strict=True)], weights)
    return {item: f + s for item, f, s in zip(layer, fitted, spread, strict=True)}


def _in_line(item: Item, centres: Mapping[Item, float], before: Mapping[Item, list[Item]]) -> float:
    """Where an item should stand: level with the nearest box before it, when it nearly is already."""
    own = centres[item]
    if isinstance(item, str):
        boxes = [centres[n] for n in before.get(item, ()) if isinstance(n, str)]
        nearest = min(boxes, key=lambda centre: abs(centre - own), default=own)
        if abs(nearest - own) <= SNAP:
            return nearest
    return own


def _pulling(item: Item, before: Mapping[Item, list[Item]], behind: Mapping[Item, list[Item]]) -> list[Item]:
    """What an item is drawn to: lanes follow boxes, and boxes follow lanes only where they have nothing nearer, so
    that the main line runs straight."""
    every = [*before.get(item, ()), *behind.get(item, ())]
    return [n for n in every if isinstance(n, str)] or every if isinstance(item, str) else every


def _spread(layer: Sequence[Item], extent: int, gap: int) -> list[float]:
    """The centres of a layer's items when they stand as close as they may, the first one at 0."""
    found: list[float] = []
    for index, item in enumerate(layer):
        if index == 0:
            found.append(0.0)
            continue
        half = (_extent(layer[index - 1], extent) + _extent(item, extent)) / 2
        found.append(found[-1] + half + gap)
    return found


def _extent(item: Item, extent: int) -> int:
    return extent if isinstance(item, str) else LANE


def _monotone(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest non-decreasing sequence in weighted least squares (pool adjacent violators, Ayer et al. 1955)."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        total, mass, count = value * weight, weight, 1
        while pools and pools[-1][0] / pools[-1][1] > total / mass:
            more, heavier, size = pools.pop()
            total, mass, count = total + more, mass + heavier, count + size
        pools.append((total, mass, count))
    return [total / mass for total, mass, count in pools for _ in range(count)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _line(
    edge: tuple[str, str],
    chain: Sequence[Item],
    level: Mapping[str, int],
    centres: Mapping[Item, float],
    begin: object,
    depth: int,
    down: bool,
) -> Line:
    """A smooth line through the lanes of its chain."""
    assert callable(begin)
    first = level[edge[0]]
    points: list[tuple[float, float]] = [(begin(first) + depth, centres[chain[0]])]
    for offset, item in enumerate(chain[1:-1], start=1):
        points += [(begin(first + offset), centres[item]), (begin(first + offset) + depth, centres[item])]
    points.append((begin(level[edge[1]]), centres[chain[-1]]))

    def at(along: float, across: float) -> str:
        pair = (across, along) if down else (along, across)
        return f"{round(pair[0])} {round(pair[1])}"

    path = f"M{at(*points[0])}"
    for index, (start, end) in enumerate(itertools.pairwise(points)):
        if index % 2 == 0:
            middle = (start[0] + end[0]) / 2
            path += f"C{at(middle, start[1])} {at(middle, end[1])} {at(*end)}"
        else:
            path += f"L{at(*end)}"
    label = ((points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2)
    along, across = round(label[0]), round(label[1])
    return Line(edge[0], edge[1], path, (across, along) if down else (along, across))
