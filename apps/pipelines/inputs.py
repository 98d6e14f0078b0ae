"""The inputs of a node that is about to start: every reference filled in, every type checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.pipelines import types
from apps.pipelines.checking import limits_of
from apps.pipelines.definition import Node
from apps.pipelines.models import NodeRun, PipelineRun
from apps.pipelines.nodes.base import NodeKind
from apps.pipelines.references import PARAMETERS, PIPELINE, Reference, fill
from foundation.errors import Invalid


def inputs_of(node: Node, kind: NodeKind, run: PipelineRun, done: Mapping[str, NodeRun]) -> dict[str, Any]:
    """The node's fields with their values. Raises Invalid "pipeline.input" or "pipeline.output_missing"."""

    def lookup(reference: Reference) -> Any:
        return _entry(reference, _source(reference, run, done))

    values: dict[str, Any] = fill(dict(node.values), lookup)
    for name, value in values.items():
        field = kind.fields[name]
        if value is None or field.type == "any":
            if value is None and field.required:
                raise Invalid("pipeline.input", f"'{name}' is empty, and this node needs it.")
            continue
        if not types.matches(value, field.type):
            raise Invalid(
                "pipeline.input", f"'{name}' must be {types.WORDS[field.type]}, not {types.named(value)}."
            )
        sentence = limits_of(field, name, value)
        if sentence:
            raise Invalid("pipeline.input", sentence)
    return values


def _source(reference: Reference, run: PipelineRun, done: Mapping[str, NodeRun]) -> Any:
    if reference.source == PARAMETERS:
        values: Mapping[str, Any] = run.parameters
    elif reference.source == PIPELINE:
        values = {"name": run.pipeline.name, "number": run.number, "version": run.version.number}
    else:
        values = done[reference.node].outputs
    if reference.output not in values:
        raise Invalid("pipeline.output_missing", f"{reference}: there is no '{reference.output}'.")
    return values[reference.output]


def _entry(reference: Reference, value: Any) -> Any:
    if not reference.key:
        return value
    if not isinstance(value, dict) or reference.key not in value:
        known = ", ".join(sorted(value)[:20]) if isinstance(value, dict) and value else "nothing"
        raise Invalid(
            "pipeline.output_missing",
            f"{reference}: '{reference.output}' has no '{reference.key[:60]}'; it has: {known}.",
        )
    return value[reference.key]
