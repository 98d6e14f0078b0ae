"""A pipeline's definition: read, checked, with the place of every fault. docs/pipelines.md has its schema."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from apps.pipelines import nodes as kinds
from apps.pipelines import types
from apps.pipelines.checking import check_fields_of
from apps.pipelines.entries import check_known, nearest, text_of, whole_of
from apps.pipelines.graph import Graph, find_cycle, lay_out
from apps.pipelines.parameters import LONGEST_HELP, Parameter, read_parameters
from apps.pipelines.problems import Path, Problems, refuse
from apps.pipelines.reading import Document, read_text, read_value
from apps.pipelines.references import NODE_NAME, RESERVED, references
from foundation.names import NAME_PATTERN

MOST_NODES = 50
MOST_RETRIES = 5
MOST_CONCURRENT = 20
DEFAULT_CONCURRENT = 10
LONGEST_NODE = 30 * 24 * 3600
FIELDS = ("name", "description", "parameters", "concurrency", "nodes")
NODE_FIELDS = ("name", "kind", "description", "needs", "with", "retries", "timeout")
#: Addresses of pages and calls.
TAKEN_NAMES = ("new", "validate", "runs", "kinds")


@dataclass(frozen=True)
class Node:
    """One step. values: its `with`. needs: every node it waits for, named or referred to. retries: further tries
    after a failure. timeout: seconds from its start, None without a limit."""

    name: str
    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    description: str = ""
    retries: int = 0
    timeout: int | None = None


@dataclass(frozen=True)
class Definition:
    """A checked definition. data: it as JSON, without name and description, which are the pipeline's own."""

    name: str
    description: str | None
    parameters: dict[str, Parameter]
    nodes: dict[str, Node]
    graph: Graph
    concurrency: int
    data: dict[str, Any]

    @property
    def source(self) -> str:
        """The data as the text that is kept, in the order in which it was written."""
        return json.dumps(self.data, ensure_ascii=False, indent=2)

    @property
    def digest(self) -> str:
        """Equal for definitions that do the same."""
        text = json.dumps(self.data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def read_definition(given: Any, *, name: str | None = None) -> Definition:
    """A definition from JSON text (then errors name line and column) or from a parsed value.

    name: what stands in for a name the definition does not give. Raises Invalid "pipeline.…": the first fault,
    with all of them in detail.errors.
    """
    document = read_text(given) if isinstance(given, str) else read_value(given)
    return check_document(document, name=name)


@lru_cache(maxsize=256)
def load_definition(source: str, *, name: str) -> Definition:
    """A definition that was kept. It is checked again, once in each process: a kind may have gone since."""
    return check_document(Document(json.loads(source)), name=name)


def check_document(document: Document, *, name: str | None = None) -> Definition:
    """See read_definition."""
    data, problems = document.value, Problems()
    if not isinstance(data, dict):
        problems.add(
            "pipeline.field_type", f"A definition is an object with name and nodes, not {types.named(data)}."
        )
        raise refuse(problems, document.places)
    check_known(data, FIELDS, "A definition", (), problems)
    own_name = _name(data, name, problems)
    description = text_of(data, "description", (), problems, 5000)
    parameters = read_parameters(data.get("parameters"), problems)
    concurrency = whole_of(data, "concurrency", (), problems, 1, MOST_CONCURRENT, DEFAULT_CONCURRENT)
    found = _nodes(data.get("nodes"), "nodes" in data, problems)
    for index, node in found.values():
        check_fields_of(
            node,
            ("nodes", index, "with"),
            parameters=parameters,
            nodes={name: other for name, (_, other) in found.items()},
            problems=problems,
        )
    chain = {name: node.needs for name, (_, node) in found.items()}
    cycle = find_cycle(chain)
    if cycle:
        problems.add(
            "pipeline.cycle",
            f"The nodes wait for one another in a circle: {' → '.join(cycle)}.",
            ("nodes", found[cycle[0]][0]),
        )
    if problems:
        raise refuse(sorted(problems, key=lambda problem: _rank(problem.path, document)), document.places)
    checked = {name: node for name, (_, node) in found.items()}
    return Definition(
        name=own_name,
        description=description,
        parameters=parameters,
        nodes=checked,
        graph=lay_out(chain),
        concurrency=concurrency or DEFAULT_CONCURRENT,
        data={key: value for key, value in data.items() if key not in ("name", "description")},
    )


def _rank(path: Path, document: Document) -> int:
    """Faults in the order of the text, where there is one."""
    while path not in document.places and path:
        path = path[:-1]
    return document.places[path].offset if path in document.places else 0


def _name(data: Mapping[str, Any], fallback: str | None, problems: Problems) -> str:
    value = data.get("name", fallback)
    if value is None:
        problems.add("pipeline.missing_field", "The definition has no name.", ())
    elif not isinstance(value, str) or not re.fullmatch(NAME_PATTERN, value):
        problems.add(
            "name.invalid",
            "The name needs 1 to 63 letters, digits, '_', '.' or '-', and begins with a letter or digit.",
            ("name",),
        )
    elif value in TAKEN_NAMES:
        problems.add("name.invalid", f"'{value}' is the address of a page; choose another name.", ("name",))
    else:
        return value
    return ""


def _nodes(value: Any, given: bool, problems: Problems) -> dict[str, tuple[int, Node]]:
    """Nodes by name with their place in the list; those that cannot be named are left out."""
    if not isinstance(value, list):
        said = (
            f"The nodes must be a list, not {types.named(value)}."
            if given
            else "The definition has no nodes."
        )
        problems.add("pipeline.field_type" if given else "pipeline.missing_field", said, ("nodes",))
        return {}
    if not value:
        problems.add("pipeline.no_nodes", "A pipeline needs at least one node.", ("nodes",))
    if len(value) > MOST_NODES:
        problems.add(
            "pipeline.too_many_nodes", f"There are {len(value)} nodes; {MOST_NODES} are allowed.", ("nodes",)
        )
        return {}
    found: dict[str, tuple[int, Node]] = {}
    for index, entry in enumerate(value):
        node = _node(entry, ("nodes", index), problems)
        if node is None:
            continue
        if node.name in found:
            problems.add(
                "pipeline.duplicate_node",
                f"Two nodes are called '{node.name}'.",
                ("nodes", index, "name"),
            )
            continue
        found[node.name] = (index, node)
    for index, node in found.values():
        _check_needs(node, value[index], index, found, problems)
    return found


def _node(entry: Any, path: Path, problems: Problems) -> Node | None:
    if not isinstance(entry, dict):
        problems.add("pipeline.field_type", f"A node is an object, not {types.named(entry)}.", path)
        return None
    name, kind = entry.get("name"), entry.get("kind")
    check_known(entry, NODE_FIELDS, "A node", path, problems)
    if not isinstance(name, str) or not NODE_NAME.fullmatch(name) or name in RESERVED:
        said = f"'{name}' is kept for references" if name in RESERVED else "The node's name"
        problems.add(
            "pipeline.node_name" if name is not None else "pipeline.missing_field",
            "The node has no name."
            if name is None
            else f"{said} needs 1 to 63 letters, digits, '_' or '-', beginning with a letter."
            if name not in RESERVED
            else f"{said}; choose another name.",
            (*path, "name"),
        )
        return None
    if kind is None:
        problems.add("pipeline.missing_field", f"The node '{name}' has no kind.", path)
    elif not isinstance(kind, str) or kind not in kinds.every():
        near = nearest(kind, kinds.every()) if isinstance(kind, str) else ""
        problems.add(
            "pipeline.unknown_kind",
            f"There is no kind of node {json.dumps(kind)[:60]}.{near} There are: {', '.join(kinds.every())}.",
            (*path, "kind"),
        )
    values = entry.get("with", {})
    if not isinstance(values, dict):
        problems.add(
            "pipeline.field_type", f"'with' must be an object, not {types.named(values)}.", (*path, "with")
        )
        values = {}
    implied = [reference.node for _, reference in references(values) if reference.node]
    named = entry.get("needs") or []
    listed = [need for need in named if isinstance(need, str)] if isinstance(named, list) else []
    return Node(
        name=name,
        kind=kind if isinstance(kind, str) else "",
        values=values,
        needs=tuple(dict.fromkeys([*listed, *implied])),
        description=text_of(entry, "description", path, problems, LONGEST_HELP) or "",
        retries=whole_of(entry, "retries", path, problems, 0, MOST_RETRIES, 0) or 0,
        timeout=whole_of(entry, "timeout", path, problems, 1, LONGEST_NODE, None),
    )


def _check_needs(
    node: Node, entry: Mapping[str, Any], index: int, found: Mapping[str, Any], problems: Problems
) -> None:
    named = entry.get("needs")
    if named is None:
        return
    path: Path = ("nodes", index, "needs")
    if not isinstance(named, list):
        problems.add("pipeline.field_type", 'The needs are a list of names such as ["train"].', path)
        return
    for place, need in enumerate(named):
        if not isinstance(need, str) or need not in found:
            near = nearest(need, found) if isinstance(need, str) else ""
            problems.add(
                "pipeline.unknown_node",
                f"The node '{node.name}' needs {json.dumps(need)[:60]}, which is no node here.{near}",
                (*path, place),
            )
