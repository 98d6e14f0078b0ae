"""Reads: the whole graph around a node, and the one line that every page draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from apps.accounts.models import Project
from apps.lineage.models import Edge, Node
from apps.lineage.states import NodeKind
from foundation.errors import Invalid, NotFound

MAX_NODES = 500


@dataclass(frozen=True)
class GraphNode:
    """A node as pages and the API show it."""

    kind: str
    id: str
    title: str
    url: str
    state: str
    alive: bool = True
    focus: bool = False


@dataclass(frozen=True)
class GraphEdge:
    """source and target are "kind:id"."""

    source: str
    target: str
    kind: str


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of the line, and the edges between them. truncated: more than MAX_NODES were found."""

    nodes: list[GraphNode] = field(default_factory=list)
    edges: list[GraphEdge] = field(default_factory=list)
    truncated: bool = False


@dataclass(frozen=True)
class Stop:
    """One column of the lineage line: the nodes of one kind, the first shown, the others counted."""

    kind: str
    label: str
    nodes: list[GraphNode]

    @property
    def first(self) -> GraphNode:
        """The node that the line names."""
        return next((node for node in self.nodes if node.focus), self.nodes[0])

    @property
    def more(self) -> int:
        """How many further nodes stand behind it."""
        return len(self.nodes) - 1


def find_node(project: Project, text: str) -> Node:
    """The node that "kind:id" or "kind:name" names ("dataset:churn@2" is accepted for dataset_version).

    Raises Invalid "lineage.node" for another form, NotFound "lineage.not_found".
    """
    kind, separator, key = text.partition(":")
    kind = {"dataset": NodeKind.DATASET_VERSION.value, "model": NodeKind.MODEL_VERSION.value}.get(kind, kind)
    if not separator or kind not in NodeKind.values or not key or len(key) > 120:
        raise Invalid(
            "lineage.node",
            f"node reads kind:id, with a kind of {', '.join(NodeKind.values)}.",
            {"node": text[:120]},
        )
    nodes = Node.objects.filter(project=project, kind=kind)
    found = (
        nodes.filter(key=_normal(key)).first()
        or nodes.filter(name=key).order_by("-alive", "-created_at").first()
    )
    if found is None:
        raise NotFound(
            "lineage.not_found", f"There is no {kind.replace('_', ' ')} '{key[:60]}' in this project."
        )
    return found


def _normal(key: str) -> str:
    try:
        parsed = UUID(key)
    except ValueError:
        return key
    return parsed.hex if len(key) == 32 else str(parsed)


def graph(project: Project, *, start: Node, direction: str = "both") -> Graph:
    """Everything upstream ("up"), downstream ("down") or both of a node, at most MAX_NODES nodes."""
    if direction not in ("up", "down", "both"):
        raise Invalid("lineage.direction", "direction is up, down or both.", {"direction": direction[:20]})
    seen: dict[UUID, Node] = {start.pk: start}
    edges: dict[UUID, Edge] = {}
    truncated = False
    for upward in [True, False] if direction == "both" else [direction == "up"]:
        frontier = {start.pk}
        while frontier and not truncated:
            found = Edge.objects.select_related("source", "target")
            found = found.filter(target__in=frontier) if upward else found.filter(source__in=frontier)
            frontier = set()
            for edge in found[: MAX_NODES * 4]:
                edges[edge.pk] = edge
                other = edge.source if upward else edge.target
                if other.pk not in seen:
                    if len(seen) >= MAX_NODES:
                        truncated = True
                        break
                    seen[other.pk] = other
                    frontier.add(other.pk)
    order = list(NodeKind.values)
    nodes = sorted(seen.values(), key=lambda node: (order.index(node.kind), node.created_at))
    return Graph(
        nodes=[
            GraphNode(node.kind, node.key, node.title, node.url, node.state, node.alive, node.pk == start.pk)
            for node in nodes
        ],
        edges=[
            GraphEdge(
                f"{edge.source.kind}:{edge.source.key}", f"{edge.target.kind}:{edge.target.key}", edge.kind
            )
            for edge in edges.values()
            if edge.source_id in seen and edge.target_id in seen
        ],
        truncated=truncated,
    )


def line(*, kind: str, key: object) -> list[Stop]:
    """dataset version → run → model version → deployment → monitor around one object; empty when unknown."""
    start = Node.objects.select_related("project").filter(kind=kind, key=str(key)).first()
    if start is None:
        return []
    by_kind: dict[str, list[GraphNode]] = {}
    for node in graph(start.project, start=start).nodes:
        by_kind.setdefault(node.kind, []).append(node)
    return [Stop(k, str(NodeKind(k).label), by_kind[k]) for k in NodeKind.values if k in by_kind]


def as_json(found: Graph) -> dict[str, Any]:
    """The graph in the API's shape."""
    return {
        "nodes": [
            {
                "kind": n.kind,
                "id": n.id,
                "title": n.title,
                "url": n.url,
                "state": n.state,
                "trashed": not n.alive,
            }
            for n in found.nodes
        ],
        "edges": [{"source": e.source, "target": e.target, "kind": e.kind} for e in found.edges],
        "truncated": found.truncated,
    }
