"""The fields of one node: known, there, of the right type, and every reference points at something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from apps.pipelines import nodes as kinds
from apps.pipelines import types
from apps.pipelines.entries import nearest
from apps.pipelines.nodes.base import Field, NodeKind
from apps.pipelines.problems import Path, Problems
from apps.pipelines.references import (
    ABOUT_THE_RUN,
    PARAMETERS,
    PIPELINE,
    BadReference,
    Reference,
    parse,
    texts,
    whole,
)

if TYPE_CHECKING:
    from apps.pipelines.definition import Node
    from apps.pipelines.parameters import Parameter


def check_fields_of(
    node: Node,
    path: Path,
    *,
    parameters: Mapping[str, Parameter],
    nodes: Mapping[str, Node],
    problems: Problems,
) -> None:
    """Note what is wrong with the `with` of a node. path: the way to it."""
    scope = _Scope(node, parameters, nodes, problems)
    kind = kinds.every().get(node.kind)
    slips: list[str] = []
    for name, value in node.values.items():
        here = (*path, name)
        bad = scope.check_references(value, here)
        if kind is None or bad:
            continue
        field = kind.fields.get(name)
        if field is None:
            near = nearest(name, kind.fields)
            slips.append(near)
            problems.add(
                "pipeline.unknown_field",
                f"A node of kind {kind.name} has no field '{name[:60]}'.{near} It knows: {', '.join(kind.fields)}.",
                here,
            )
        elif value is not None:
            scope.check_type(field, name, value, here)
    if kind is None:
        return
    missing = [
        name for name, field in kind.fields.items() if field.required and node.values.get(name) in (None, "")
    ]
    for name in missing:
        if any(f"'{name}'" in slip for slip in slips):
            continue  # it is there, misspelt
        problems.add(
            "pipeline.missing_input",
            f"The node '{node.name}' needs '{name}': {kind.fields[name].help}",
            path,
        )
    if not missing and not any(problem.path[: len(path)] == path for problem in problems):
        _own_faults(kind, node, path, problems)


def _own_faults(kind: NodeKind, node: Node, path: Path, problems: Problems) -> None:
    for name, sentence in kind.faults(node.values):
        problems.add("pipeline.field_value", sentence, (*path, *(name.split(".") if name else ())))


class _Scope:
    """What references of one node may point at."""

    def __init__(
        self, node: Node, parameters: Mapping[str, Parameter], nodes: Mapping[str, Node], problems: Problems
    ) -> None:
        self.node, self.parameters, self.nodes, self.problems = node, parameters, nodes, problems

    def check_references(self, value: Any, path: Path) -> bool:
        """Note references that point at nothing; whether there was one."""
        before = len(self.problems)
        for way, text in texts(value, path):
            try:
                pieces = parse(text)
            except BadReference as error:
                self.problems.add("pipeline.bad_reference", str(error), way)
                continue
            for piece in pieces:
                if isinstance(piece, Reference):
                    self.type_of(piece, way)
        return len(self.problems) > before

    def type_of(self, reference: Reference, path: Path | None = None) -> str:
        """The type of what a reference names; with a path, faults are noted there."""
        note = self.problems if path is not None else Problems()
        way = path or ()
        if reference.source == PARAMETERS:
            return self._parameter(reference, note, way)
        if reference.source == PIPELINE:
            if reference.output not in ABOUT_THE_RUN:
                note.add(
                    "pipeline.unknown_output",
                    f"{reference}: of the run itself there are {', '.join(ABOUT_THE_RUN)}.",
                    way,
                )
            return self._entry(reference, ABOUT_THE_RUN.get(reference.output, "any"), note, way)
        return self._node_output(reference, note, way)

    def _parameter(self, reference: Reference, note: Problems, way: Path) -> str:
        found = self.parameters.get(reference.output)
        if found is None:
            known = ", ".join(self.parameters) or "none"
            note.add(
                "pipeline.unknown_parameter",
                f"{reference}: there is no such parameter.{nearest(reference.output, self.parameters)}"
                f" There are: {known}.",
                way,
            )
            return "any"
        return self._entry(reference, found.type, note, way)

    def _node_output(self, reference: Reference, note: Problems, way: Path) -> str:
        source = self.nodes.get(reference.node)
        if source is None:
            note.add(
                "pipeline.unknown_node",
                f"{reference}: there is no node '{reference.node}'.{nearest(reference.node, self.nodes)}",
                way,
            )
            return "any"
        if source.name == self.node.name:
            note.add("pipeline.own_output", f"{reference}: a node cannot use its own output.", way)
            return "any"
        kind = kinds.every().get(source.kind)
        if kind is None:
            return "any"
        output = kind.outputs.get(reference.output)
        if output is None:
            note.add(
                "pipeline.unknown_output",
                f"{reference}: a node of kind {kind.name} has no output '{reference.output}'."
                f"{nearest(reference.output, kind.outputs)} It has: {', '.join(kind.outputs)}.",
                way,
            )
            return "any"
        return self._entry(reference, output.type, note, way)

    @staticmethod
    def _entry(reference: Reference, type_: str, note: Problems, way: Path) -> str:
        if not reference.key:
            return type_
        if not types.has_entries(type_):
            note.add(
                "pipeline.unknown_output",
                f"{reference}: '{reference.output}' is {types.WORDS[type_]} and has no entry '{reference.key[:60]}'.",
                way,
            )
        return types.entry_type(type_)

    def check_type(self, field: Field, name: str, value: Any, path: Path) -> None:
        """Note a value, or a reference, that cannot be of the field's type."""
        reference = whole(value) if isinstance(value, str) else None
        if reference is not None:
            given = self.type_of(reference)
            if not types.fits(given, field.type):
                self.problems.add(
                    "pipeline.wrong_type",
                    f"'{name}' must be {types.WORDS[field.type]}, but {reference} is {types.WORDS[given]}.",
                    path,
                )
            return
        if not types.matches(value, field.type) and not _may_match(value, field.type):
            self.problems.add(
                "pipeline.wrong_type",
                f"'{name}' must be {types.WORDS[field.type]}, not {types.named(value)}.",
                path,
            )
            return
        if kinds.base.is_literal(value):
            sentence = limits_of(field, name, value)
            if sentence:
                self.problems.add("pipeline.field_value", sentence, path)


def _may_match(value: Any, wanted: str) -> bool:
    """An object of metrics may hold references to numbers."""
    return wanted == "metrics" and isinstance(value, dict) and not kinds.base.is_literal(value)


def limits_of(field: Field, name: str, value: Any) -> str:
    """What a value of the right type breaks of the field's limits, as a sentence; "" when nothing."""
    if field.choices and value not in field.choices:
        return f"'{name}' must be one of {', '.join(field.choices)}."
    if field.low is not None and isinstance(value, int | float) and value < field.low:
        return f"'{name}' must be at least {field.low:g}."
    if field.high is not None and isinstance(value, int | float) and value > field.high:
        return f"'{name}' must be at most {field.high:g}."
    return ""
