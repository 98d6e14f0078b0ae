"""Reads of pipelines and their runs: what pages and the API show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, OuterRef, Prefetch, Q, QuerySet, Subquery

from apps.accounts.models import Project
from apps.pipelines import nodes as kinds
from apps.pipelines.access import RUN_RELATIONS
from apps.pipelines.definition import Definition, load_definition
from apps.pipelines.models import NodeRun, Pipeline, PipelineRun, PipelineVersion
from apps.pipelines.states import LIVE, NODE_TERMINAL, NodeState


def pipelines_of(project: Project, *, q: str = "", trashed: bool = False) -> QuerySet[Pipeline]:
    """A project's pipelines with their number of runs (`n_runs`), of live ones (`n_live`), and of the last run its
    number, state and time (`last_number`, `last_state`, `last_at`)."""
    last = PipelineRun.objects.filter(pipeline=OuterRef("pk")).order_by("-number")
    rows: QuerySet[Pipeline] = Pipeline.objects.filter(project=project, deleted_at__isnull=not trashed)
    rows = rows.select_related("project", "latest", "created_by").annotate(
        n_runs=Count("runs", distinct=True),
        n_live=Count("runs", filter=Q(runs__state__in=LIVE), distinct=True),
        last_number=Subquery(last.values("number")[:1]),
        last_state=Subquery(last.values("state")[:1]),
        last_at=Subquery(last.values("created_at")[:1]),
    )
    text = q.replace("\x00", "").strip()
    if text:
        rows = rows.filter(Q(name__icontains=text) | Q(description__icontains=text))
    return rows


def versions_of(pipeline: Pipeline) -> QuerySet[PipelineVersion]:
    """The definitions of a pipeline, newest first, each with its number of runs (`n_runs`)."""
    return pipeline.versions.select_related("created_by", "pipeline__project").annotate(n_runs=Count("runs"))


def runs_of(pipeline: Pipeline, *, state: str = "") -> QuerySet[PipelineRun]:
    """The runs of a pipeline, newest first, each with its nodes counted (see counted)."""
    return counted(pipeline.runs.all(), state=state)


def runs_in(project: Project, *, state: str = "") -> QuerySet[PipelineRun]:
    """The runs of every pipeline of a project that is not in the trash, newest first."""
    return counted(
        PipelineRun.objects.filter(project=project, pipeline__deleted_at__isnull=True), state=state
    )


def counted(runs: QuerySet[PipelineRun], *, state: str = "") -> QuerySet[PipelineRun]:
    """Runs with what lists name, and `n_nodes` and `n_over`: how many nodes there are, and are over."""
    rows = runs.select_related(*RUN_RELATIONS).annotate(
        n_nodes=Count("nodes"), n_over=Count("nodes", filter=Q(nodes__state__in=NODE_TERMINAL))
    )
    rows = rows.order_by("-created_at", "-id")
    return rows.filter(state=state) if state else rows


def has_live(pipeline: Pipeline) -> bool:
    """Whether a run of the pipeline still changes by itself."""
    return pipeline.runs.filter(state__in=LIVE).exists()


def live_runs(projects: Iterable[Project] | QuerySet[Project], *, limit: int = 8) -> list[PipelineRun]:
    """The newest runs that are not over, for home pages."""
    rows = counted(PipelineRun.objects.filter(project__in=projects, state__in=LIVE))
    return list(rows[:limit])


def nodes_of(run: PipelineRun) -> list[NodeRun]:
    """The nodes of a run with their jobs, in the order of the definition."""
    return list(run.nodes.select_related("job", "reused_from__pipeline_run").order_by("position"))


def with_nodes(runs: QuerySet[PipelineRun]) -> QuerySet[PipelineRun]:
    """Runs with their nodes, for small drawings in lists: one query more."""
    return runs.prefetch_related(Prefetch("nodes", queryset=NodeRun.objects.defer("inputs", "outputs")))


def with_results(runs: QuerySet[PipelineRun]) -> QuerySet[PipelineRun]:
    """Runs with everything that their nodes read and gave."""
    nodes = NodeRun.objects.select_related("reused_from__pipeline_run").order_by("position")
    return runs.select_related(*RUN_RELATIONS).prefetch_related(Prefetch("nodes", queryset=nodes))


def waiting_for_people(project: Project) -> QuerySet[NodeRun]:
    """Nodes of live runs that wait for the approval of a promotion."""
    return NodeRun.objects.filter(
        pipeline_run__project=project,
        pipeline_run__state__in=LIVE,
        state=NodeState.RUNNING,
        subject_kind="promotion",
    ).select_related("pipeline_run__pipeline__project")


def definition_of(version: PipelineVersion) -> Definition:
    """The checked definition of a version. Raises Invalid when a kind it names is gone."""
    return load_definition(version.source, name=version.pipeline.name)


def graph_of(definition: Definition, nodes: Iterable[NodeRun] = ()) -> dict[str, Any]:
    """The layered graph as JSON: {"layers": n, "nodes": […], "edges": [{source, target}]}.

    Each node has its layer and its place in it; with the nodes of a run also state, reason, note and url.
    """
    states = {node.name: node for node in nodes}
    return {
        "layers": len(definition.graph.layers),
        "nodes": [
            _graph_node(definition, name, layer, place, states.get(name))
            for layer, names in enumerate(definition.graph.layers)
            for place, name in enumerate(names)
        ],
        "edges": [{"source": source, "target": target} for source, target in definition.graph.edges],
    }


def _graph_node(
    definition: Definition, name: str, layer: int, place: int, run: NodeRun | None
) -> dict[str, Any]:
    node = definition.nodes[name]
    found: dict[str, Any] = {
        "name": name,
        "kind": node.kind,
        "title": kinds.get(node.kind).title,
        "description": node.description,
        "needs": list(node.needs),
        "layer": layer,
        "place": place,
    }
    if run is not None:
        found |= {"state": run.state, "reason": run.reason, "note": run.note, "url": run.subject_url}
    return found
