"""Which nodes of a run need not be done again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.pipelines.definition import Definition, Node
from apps.pipelines.models import NodeRun
from apps.pipelines.references import PARAMETERS, references


def reusable(
    before: Definition,
    after: Definition,
    done: Mapping[str, NodeRun],
    parameters: Mapping[str, Any],
    earlier: Mapping[str, Any],
) -> dict[str, NodeRun]:
    """The nodes of `done` that the definition `after` would do in the same way: written alike, reading the same
    parameters, and behind nothing that has to be done again."""
    kept: dict[str, NodeRun] = {}
    for name in after.graph.order:
        node, old = after.nodes[name], before.nodes.get(name)
        if name not in done or old is None or not _alike(node, old):
            continue
        if all(need in kept for need in node.needs) and _same_parameters(node, parameters, earlier):
            kept[name] = done[name]
    return kept


def _alike(one: Node, other: Node) -> bool:
    return (one.kind, dict(one.values), set(one.needs)) == (other.kind, dict(other.values), set(other.needs))


def _same_parameters(node: Node, parameters: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    read = {
        reference.output for _, reference in references(dict(node.values)) if reference.source == PARAMETERS
    }
    return all(name in earlier and earlier[name] == parameters.get(name) for name in read)
