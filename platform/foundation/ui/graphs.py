"""A directed graph as SVG, laid out by the server: one column per kind, straight reading from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from foundation.ui.icons import KINDS
from foundation.ui.statuses import look_of

BOX_WIDTH, BOX_HEIGHT = 168, 44
GAP_X, GAP_Y = 36, 12
PAD = 4
_LETTERS = 16


class GraphNode(Protocol):
    """What a node must tell: its kind and id (joined by ":" in edges), what to show and where it leads."""

    kind: str
    id: str
    title: str
    url: str
    state: str
    focus: bool


class GraphEdge(Protocol):
    """source and target as "kind:id"."""

    source: str
    target: str


def draw(nodes: Sequence[Any], edges: Sequence[Any], *, kinds: Sequence[str] = ()) -> SafeString:
    """The graph as one ``<svg>``; every node is a link, the one with ``focus`` is drawn strong.

    Columns follow ``kinds`` (default: the order in which kinds first appear). Inside a column nodes stand at the
    mean height of what they come from (one barycentre pass, Sugiyama et al. 1981), so that most edges run flat.
    """
    order = [
        kind
        for kind in (kinds or dict.fromkeys(node.kind for node in nodes))
        if any(n.kind == kind for n in nodes)
    ]
    columns: dict[str, list[Any]] = {kind: [node for node in nodes if node.kind == kind] for kind in order}
    parents: dict[str, list[str]] = {}
    for edge in edges:
        parents.setdefault(edge.target, []).append(edge.source)
    rank: dict[str, float] = {}
    for kind in order:
        column = columns[kind]
        column.sort(key=lambda node: _mean([rank[p] for p in parents.get(_key(node), []) if p in rank]))
        for row, node in enumerate(column):
            rank[_key(node)] = row + (max(map(len, columns.values())) - len(column)) / 2
    place = {
        _key(node): (
            PAD + order.index(node.kind) * (BOX_WIDTH + GAP_X),
            PAD + int(rank[_key(node)] * (BOX_HEIGHT + GAP_Y)),
        )
        for node in nodes
    }
    width = 2 * PAD + len(order) * (BOX_WIDTH + GAP_X) - GAP_X
    height = 2 * PAD + max((y for _, y in place.values()), default=0) + BOX_HEIGHT
    lines = format_html_join(
        "", '<path class="edge" d="{}"/>',
        ((_curve(place[edge.source], place[edge.target]),) for edge in edges if edge.source in place and edge.target in place),
    )  # fmt: skip
    boxes = format_html_join("", "{}", ((_box(node, *place[_key(node)]),) for node in nodes))
    return format_html(
        '<div class="graph" tabindex="0" role="region" aria-label="Lineage graph"><svg width="{0}" height="{1}" '
        'viewBox="0 0 {0} {1}"><g aria-hidden="true">{2}</g>{3}</svg></div>',
        max(width, 1), max(height, 1), lines, boxes,
    )  # fmt: skip


def _key(node: GraphNode) -> str:
    return f"{node.kind}:{node.id}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _curve(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT // 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT // 2
    if x2 <= start[0]:  # an edge back or within a column bends around on the left
        x1 = start[0]
        return f"M{x1} {y1}C{x1 - 40} {y1} {x2 - 40} {y2} {x2} {y2}"
    middle = (x1 + x2) // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"


def _box(node: GraphNode, x: int, y: int) -> SafeString:
    look = look_of(node.state) if node.state else None
    title = node.title if len(node.title) <= _LETTERS else node.title[: _LETTERS - 1] + "…"
    kind = node.kind.replace("_", " ").capitalize()
    spoken = f"{kind} {node.title}" + (f", {look.word.lower()}" if look else "")
    mark: SafeString | str = ""
    if look is not None:
        mark = format_html(
            '<svg class="icon toned tone-{}" x="{}" y="{}" width="14" height="14" viewBox="0 0 16 16"><use href="#i-{}"/></svg>',
            look.tone, x + BOX_WIDTH - 24, y + 15, look.icon,
        )  # fmt: skip
    inner = format_html(
        '<title>{}</title><rect class="box" x="{}" y="{}" width="{}" height="{}" rx="6"/>'
        '<svg class="icon" x="{}" y="{}" width="16" height="16" viewBox="0 0 16 16"><use href="#i-{}"/></svg>'
        '<text class="kind" x="{}" y="{}">{}</text><text x="{}" y="{}">{}</text>{}',
        spoken, x, y, BOX_WIDTH, BOX_HEIGHT, x + 10, y + 14, KINDS.get(node.kind, "file"),
        x + 34, y + 17, kind, x + 34, y + 33, title, mark,
    )  # fmt: skip
    css = "current" if node.focus else ""
    if node.url and not node.focus:
        return format_html('<a href="{}" aria-label="{}" class="{}">{}</a>', node.url, spoken, css, inner)
    return format_html('<g class="{}" role="img" aria-label="{}">{}</g>', css, spoken, inner)
