"""What the pages of pipelines show; a page and its live fragment share one context."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from apps.accounts.models import Project
from apps.jobs.schedules.queries import ScheduleView, next_due_of, schedules_of, views_of
from apps.lineage.queries import line
from apps.lineage.states import NodeKind
from apps.pipelines import queries
from apps.pipelines.definition import Definition, load_definition
from apps.pipelines.models import NodeRun, Pipeline, PipelineRun, PipelineVersion
from apps.pipelines.presenting import Picture, about_of, flows, icon_of, kind_title, picture_of, seconds_of
from apps.pipelines.schedules import KIND
from apps.pipelines.states import LIVE, NodeState, PipelineRunState
from foundation.clock import now
from foundation.errors import AtelierError

SHOWN_RUNS = 8
LONGEST_VALUE = 600


# ---- the list ----------------------------------------------------------------------------------------------


def listed(project: Project, *, q: str = "", state: str = "", trashed: bool = False) -> QuerySet[Pipeline]:
    """The pipelines of a project, filtered by the state of their last run."""
    rows: QuerySet[Any] = queries.pipelines_of(project, q=q, trashed=trashed)  # annotated there
    if state == "live":
        return rows.filter(last_state__in=sorted(LIVE))
    if state == "never":
        return rows.filter(last_state__isnull=True)
    return rows.filter(last_state=state) if state in PipelineRunState.values else rows


STATES = [
    ("live", "Working"),
    ("succeeded", "Succeeded"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
    ("never", "Never ran"),
]


def with_next(rows: list[Any]) -> list[Any]:
    """Each pipeline of a page with when it starts by itself, and the number of its nodes."""
    due = next_due_of(KIND, [row.pk for row in rows])
    for row in rows:
        row.next_time = due.get(str(row.pk))
        row.n_nodes = len(row.latest.definition.get("nodes", [])) if row.latest is not None else 0
    return rows


# ---- a pipeline --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A node of a definition as a row: the table beside the picture."""

    name: str
    title: str
    icon: str
    about: str
    description: str
    needs: list[tuple[str, str]]
    more: str


@dataclass(frozen=True)
class Opened:
    """A definition that is kept. problem: why it can no longer be read by this version of the studio."""

    definition: Definition | None
    problem: str = ""


def open_version(pipeline: Pipeline, version: PipelineVersion | None) -> Opened:
    """The definition of a version."""
    if version is None:
        return Opened(None, "It has no definition.")
    try:
        return Opened(load_definition(version.source, name=pipeline.name))
    except AtelierError as error:
        return Opened(None, error.message)


def steps_of(definition: Definition) -> list[Step]:
    """The nodes in the order of the work."""
    found = []
    for name in definition.graph.order:
        node = definition.nodes[name]
        more = [f"{node.retries} more tries"] if node.retries else []
        more += [f"at most {node.timeout} s"] if node.timeout else []
        found.append(
            Step(
                name=name,
                title=kind_title(node.kind),
                icon=icon_of(node.kind),
                about=about_of(node),
                description=node.description,
                needs=[(need, ", ".join(taken)) for need, taken in flows(node).items()],
                more=", ".join(more),
            )
        )
    return found


@dataclass
class Overview:
    """A pipeline's first page."""

    pipeline: Pipeline
    opened: Opened
    picture: Picture | None
    steps: list[Step]
    runs: list[Any]
    drawn_run: PipelineRun | None
    schedules: list[ScheduleView] = field(default_factory=list)

    @property
    def live(self) -> PipelineRun | None:
        """The newest run that still works."""
        return next((run for run in self.runs if run.is_live), None)


def overview_of(pipeline: Pipeline, *, schedules: bool = True) -> Overview:
    """The graph in the states of the last run, where that ran this definition, and the last runs."""
    opened = open_version(pipeline, pipeline.latest)
    runs = list(queries.runs_of(pipeline)[:SHOWN_RUNS])
    drawn = runs[0] if runs and runs[0].version_id == pipeline.latest_id else None
    picture, steps = None, []
    if opened.definition is not None:
        nodes = {node.name: node for node in queries.nodes_of(drawn)} if drawn is not None else None
        picture, steps = picture_of(opened.definition, nodes), steps_of(opened.definition)
    return Overview(
        pipeline=pipeline,
        opened=opened,
        picture=picture,
        steps=steps,
        runs=runs,
        drawn_run=drawn,
        schedules=views_of(schedules_of(pipeline.project, kind=KIND, subject_id=pipeline.pk), times=1)
        if schedules
        else [],
    )


def runs_listed(pipeline: Pipeline, *, state: str = "") -> QuerySet[PipelineRun]:
    """The runs of a pipeline, filtered; an unknown state shows all."""
    if state == "live":
        return queries.runs_of(pipeline).filter(state__in=sorted(LIVE))
    return queries.runs_of(pipeline, state=state if state in PipelineRunState.values else "")


# ---- a run -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NodeRow:
    """One node of a run as a row."""

    node: NodeRun
    title: str
    icon: str
    about: str
    seconds: float | None
    inputs: list[tuple[str, str]]
    outputs: list[tuple[str, str]]

    @property
    def sentence(self) -> str:
        """Why it failed or was skipped, else what it waits for or found."""
        return self.node.reason or self.node.note


@dataclass
class RunPage:
    """A run with its picture and its nodes."""

    run: PipelineRun
    picture: Picture | None
    problem: str
    rows: list[NodeRow]

    @cached_property
    def stops(self) -> list[dict[str, Any]]:
        """What went in and what came out, as components/lineage.html takes it."""
        return [
            {
                "kind": stop.kind,
                "title": stop.first.title,
                "more": stop.more,
                "url": stop.first.url,
                "state": stop.first.state,
                "current": stop.first.focus,
            }
            for stop in line(kind=NodeKind.PIPELINE_RUN, key=self.run.pk)
        ]

    @property
    def n_over(self) -> int:
        """How many nodes are over."""
        return sum(1 for row in self.rows if row.node.is_terminal)

    @property
    def seconds(self) -> float | None:
        """How long it has taken."""
        if self.run.started_at is None:
            return None
        return max(0.0, ((self.run.finished_at or now()) - self.run.started_at).total_seconds())

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Names and values."""
        return shown(self.run.parameters)

    @property
    def may_resume(self) -> bool:
        """Whether a re-run from the failed node makes sense."""
        return self.run.state in (PipelineRunState.FAILED, PipelineRunState.CANCELLED) and any(
            row.node.state in (NodeState.SUCCEEDED, NodeState.REUSED) for row in self.rows
        )

    @property
    def title_progress(self) -> str:
        """For the window's title, while it works."""
        return f"● {self.n_over}/{len(self.rows)} {self.run.label}" if self.run.is_live else ""


def run_page(run: PipelineRun) -> RunPage:
    """Everything on a run's page."""
    opened = open_version(run.pipeline, run.version)
    nodes = queries.nodes_of(run)
    definition = opened.definition
    picture = picture_of(definition, {node.name: node for node in nodes}) if definition is not None else None
    rows = []
    for node in nodes:
        declared = definition.nodes.get(node.name) if definition is not None else None
        rows.append(
            NodeRow(
                node=node,
                title=kind_title(node.kind),
                icon=icon_of(node.kind),
                about=about_of(declared) if declared is not None else "",
                seconds=seconds_of(node),
                inputs=shown(node.inputs),
                outputs=shown(node.outputs),
            )
        )
    return RunPage(run, picture, opened.problem, rows)


def shown(values: Any) -> list[tuple[str, str]]:
    """Names and values as text, long ones cut."""
    found = []
    for name, value in (values or {}).items():
        if isinstance(value, float):
            text = f"{value:.6g}"
        elif isinstance(value, str):
            text = value
        elif (
            isinstance(value, dict)
            and value
            and all(isinstance(part, int | float) for part in value.values())
        ):
            text = ", ".join(f"{key} {part:.4g}" for key, part in value.items())
        else:
            text = json.dumps(value, ensure_ascii=False)
        found.append((name, text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"))
    return found
