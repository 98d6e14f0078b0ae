"""A pipeline's graph as pages show it: boxes with a kind, a name, a state and a line of text, and lines between them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.jobs.queries import progress_of
from apps.pipelines import nodes as kinds
from apps.pipelines.definition import Definition, Node
from apps.pipelines.layout import Layout, Sizes, place
from apps.pipelines.models import NodeRun
from apps.pipelines.references import references
from apps.pipelines.states import DONE, NodeState
from foundation.clock import now
from foundation.ui.statuses import look_of
from foundation.ui.values import duration

ICONS = {
    "dataset_check": "dataset",
    "run": "run",
    "study": "study",
    "evaluate": "chart",
    "condition": "condition",
    "register": "model",
    "promote": "promote",
    "deploy": "deployment",
}
#: what of a node's fields says most, by kind
TELLING = {
    "dataset_check": ("dataset",),
    "run": ("algorithm",),
    "study": ("algorithm",),
    "evaluate": ("dataset", "model", "run"),
    "register": ("model",),
    "promote": ("to",),
    "deploy": ("deployment",),
}
PLAIN_HEIGHT, LIVE_HEIGHT, ACROSS = 60, 78, 18
#: by the number of layers: six of them fit beside each other on a small screen, more scroll
WIDTHS = {1: (208, 64), 2: (208, 64), 3: (208, 64), 4: (196, 60), 5: (158, 46), 6: (138, 30)}
ROOMY = 166
MANY_LAYERS = (168, 48)
#: on a phone the graph runs downwards, and two boxes fit beside each other
PLAIN_DOWN = Sizes(width=154, height=60, along=36, across=10, pad=10)
LIVE_DOWN = Sizes(width=154, height=78, along=44, across=10, pad=10)
#: larger graphs are drawn once, and scroll inside their own box on a phone
DRAWN_TWICE = 16


@dataclass(frozen=True)
class Box:
    """One node of the drawing. state: "" in a definition. line: what it does, or what came of it."""

    name: str
    kind: str
    title: str
    icon: str
    about: str
    state: str
    line: str
    fraction: float | None
    spoken: str
    x: int = 0
    y: int = 0


@dataclass(frozen=True)
class Stroke:
    """One line of the drawing. css: how it looks; label: what a condition says about it."""

    path: str
    css: str
    label: str
    tone: str
    x: int
    y: int


@dataclass(frozen=True)
class Drawing:
    """One picture. way: "across" or "down"."""

    way: str
    width: int
    height: int
    sizes: Sizes
    boxes: list[Box]
    strokes: list[Stroke]

    @property
    def is_tight(self) -> bool:
        """Whether a box has no room for how long its node took; the table says it."""
        return self.sizes.width < ROOMY


@dataclass(frozen=True)
class Picture:
    """A graph, drawn once or for two kinds of screens."""

    drawings: list[Drawing]
    boxes: list[Box] = field(default_factory=list)


def picture_of(definition: Definition, runs: Mapping[str, NodeRun] | None = None) -> Picture:
    """The graph of a definition; with the nodes of a run, in their states."""
    boxes = {
        name: _run_box(node, runs[name]) if runs and name in runs else _box(node)
        for name, node in definition.nodes.items()
    }
    graph = definition.graph
    live = runs is not None
    width, along = WIDTHS.get(len(graph.layers), MANY_LAYERS)
    sizes = Sizes(width=width, height=LIVE_HEIGHT if live else PLAIN_HEIGHT, along=along, across=ACROSS)
    drawings = [_draw(definition, place(graph, sizes), boxes, runs, "across")]
    if len(boxes) <= DRAWN_TWICE:
        down = place(graph, LIVE_DOWN if live else PLAIN_DOWN, down=True)
        drawings.append(_draw(definition, down, boxes, runs, "down"))
    return Picture(drawings, [boxes[name] for name in graph.order])


def _draw(
    definition: Definition,
    layout: Layout,
    boxes: Mapping[str, Box],
    runs: Mapping[str, NodeRun] | None,
    way: str,
) -> Drawing:
    strokes = []
    for line in layout.lines:
        css, label, tone = _line_look(definition.nodes[line.source], line.source, line.target, runs)
        if css in ("", "done") and _implied(definition, line.source, line.target):
            css = f"{css} far".strip()
        strokes.append(Stroke(line.path, css, label, tone, line.label[0], line.label[1]))
    placed = []
    for name in definition.graph.order:
        x, y = layout.boxes[name]
        placed.append(Box(**(boxes[name].__dict__ | {"x": x, "y": y})))
    return Drawing(way, layout.width, layout.height, layout.sizes, placed, strokes)


def _implied(definition: Definition, source: str, target: str) -> bool:
    """Whether the target waits for the source through another node too: then the line only carries values."""
    others = [need for need in definition.graph.needs[target] if need != source]
    return bool({*others} & definition.graph.behind([source]))


def _line_look(
    source: Node, name: str, target: str, runs: Mapping[str, NodeRun] | None
) -> tuple[str, str, str]:
    """CSS, label and tone of the line from one node to another."""
    condition = source.kind == "condition"
    if runs is None or name not in runs or target not in runs:
        return "", "if so" if condition else "", "grey"
    first, second = runs[name], runs[target]
    if condition and first.state in DONE:
        if first.outputs.get("holds") is False:
            return "cut", "no", "slate"
        return "moving" if second.state == NodeState.RUNNING else "done", "yes", "green"
    label = "if so" if condition else ""
    if first.state in DONE:
        if second.state == NodeState.RUNNING:
            return "moving", label, "grey"
        return ("done" if second.state in DONE or second.state == NodeState.FAILED else ""), label, "grey"
    if first.state in (NodeState.FAILED, NodeState.SKIPPED, NodeState.CANCELLED):
        return "cut", label, "grey"
    return "", label, "grey"


def kind_title(kind: str) -> str:
    """What a kind is called; one that has gone by its own name."""
    found = kinds.every().get(kind)
    return found.title if found is not None else kind.replace("_", " ").capitalize()


def icon_of(kind: str) -> str:
    """The icon of a kind of node."""
    return ICONS.get(kind, "job")


def _box(node: Node) -> Box:
    about, title = about_of(node), kind_title(node.kind)
    needs = f", after {', '.join(node.needs)}" if node.needs else ""
    return Box(
        name=node.name,
        kind=node.kind,
        title=title,
        icon=icon_of(node.kind),
        about=about,
        state="",
        line="",
        fraction=None,
        spoken=f"{node.name}: {title} {about}".strip() + needs,
    )


def _run_box(node: Node, run: NodeRun) -> Box:
    title, about = kind_title(node.kind), about_of(node)
    word = look_of(run.state).word
    line = short_line(run)
    return Box(
        name=node.name,
        kind=node.kind,
        title=title,
        icon=icon_of(node.kind),
        about=about,
        state=run.state,
        line=line,
        fraction=fraction_of(run),
        spoken=f"{node.name}: {title} {about}, {word.lower()}" + (f", {line}" if line else ""),
    )


def short_line(run: NodeRun) -> str:
    """Beside the state: how long it took, or what it waits for."""
    took = seconds_of(run)
    if run.state == NodeState.REUSED:
        return "from the run before"
    return duration(took) if took is not None and took >= 1 else ""


def seconds_of(run: NodeRun) -> float | None:
    """How long a node has run, up to now or to its end."""
    if run.started_at is None:
        return None
    return max(0.0, ((run.finished_at or now()) - run.started_at).total_seconds())


def fraction_of(run: NodeRun) -> float | None:
    """How far its job is, 0 to 1, while it runs and where that is known."""
    if run.state != NodeState.RUNNING or run.job is None:
        return None
    return progress_of(run.job).fraction


def about_of(node: Node) -> str:
    """What of a node's fields says most, in a few words."""
    values = node.values
    if node.kind == "condition":
        return _comparison(values)
    for name in TELLING.get(node.kind, ()):
        if values.get(name) not in (None, ""):
            return ("to " if name == "to" else "") + plain(values[name])
    return ""


def _comparison(values: Mapping[str, Any]) -> str:
    if "left" in values:
        sign = {">=": "≥", "<=": "≤", "!=": "≠", "==": "="}.get(
            str(values.get("operator")), values.get("operator")
        )
        return f"{plain(values['left'])} {sign} {plain(values.get('right'))}"
    if "metric" in values:
        return f"{plain(values['metric'])} better"
    for form, word in (("all", "all of"), ("any", "one of")):
        if isinstance(values.get(form), Sequence):
            return f"{word} {len(values[form])}"
    return ""


def plain(value: Any) -> str:
    """A value of a definition in few letters: ${train.metrics.auc} is train.metrics.auc."""
    if isinstance(value, str):
        return value.replace("${parameters.", "${").replace("${", "").replace("}", "")
    return json.dumps(value, ensure_ascii=False)


def flows(node: Node) -> dict[str, list[str]]:
    """What a node takes from which other: {"train": ["run", "metrics"]}; empty lists where it only waits."""
    found: dict[str, list[str]] = {need: [] for need in node.needs}
    for _, reference in references(node.values):
        if reference.node and reference.output not in found.setdefault(reference.node, []):
            found[reference.node].append(reference.output)
    return found
