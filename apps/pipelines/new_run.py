"""Rows of a new run, shared by starting and repeating one; and what lineage and others hear of a run."""

from __future__ import annotations

from typing import Any

from django.db.models import Max

from apps.accounts.access import Actor, check_role, require_user, role_in_project
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.accounts.states import Role
from apps.datasets.access import get_usable_version
from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from apps.pipelines import events
from apps.pipelines.definition import Definition
from apps.pipelines.models import NodeRun, Pipeline, PipelineRun, PipelineVersion
from apps.pipelines.states import NodeState, PipelineRunState, StartedBy
from foundation.errors import AtelierError, Conflict, Forbidden, TooMany
from foundation.events import publish

MOST_WAITING = 50


def audit(actor: Actor, pipeline: Pipeline, verb: str, **detail: Any) -> None:
    """One audit row about a pipeline."""
    record_audit(
        actor=actor,
        project=pipeline.project,
        action=f"pipeline.{verb}",
        subject_kind="pipeline",
        subject_id=pipeline.pk,
        subject_title=pipeline.name,
        detail=detail,
    )


def lock_for_run(actor: Actor, pipeline: Pipeline) -> Pipeline:
    """The pipeline, locked, when this person may start a run of it now. Raises Forbidden, Conflict, TooMany."""
    user = require_user(actor)
    check_role(role_in_project(actor, pipeline.project), Role.CONTRIBUTOR)
    if not user.is_active:
        raise Forbidden("pipeline.inactive", f"The account {user.username} is not active any more.")
    locked: Pipeline = (
        Pipeline.objects.select_for_update(of=("self",))
        .select_related("project", "latest")
        .get(pk=pipeline.pk)
    )
    if locked.deleted_at is not None:
        raise Conflict("pipeline.trashed", f"The pipeline '{locked.name}' is in the trash.")
    waiting = locked.runs.filter(state=PipelineRunState.QUEUED).count()
    if waiting >= MOST_WAITING:
        raise TooMany(
            "pipeline.too_many_runs",
            f"{waiting} runs of '{locked.name}' are waiting already; let some of them end, or cancel them.",
        )
    return locked


def pinned(actor: Actor, project: Project, definition: Definition, values: dict[str, Any]) -> dict[str, Any]:
    """Dataset parameters without a version are fixed to the newest one, so that every node of the run, and every
    re-run, sees the same rows. What does not exist (yet) is left for the nodes to complain about."""
    fixed = dict(values)
    for name, parameter in definition.parameters.items():
        value = values[name]
        if parameter.type == "dataset" and isinstance(value, str) and "@" not in value:
            try:
                fixed[name] = get_usable_version(actor, project, value).label
            except AtelierError:
                continue
    return fixed


def write_run(
    actor: Actor,
    pipeline: Pipeline,
    version: PipelineVersion,
    definition: Definition,
    parameters: dict[str, Any],
    *,
    source: StartedBy,
    rerun_of: PipelineRun | None = None,
    reused: dict[str, NodeRun] | None = None,
) -> PipelineRun:
    """A queued run with its nodes; those of `reused` are over already. The caller holds the pipeline's row."""
    last = pipeline.runs.aggregate(n=Max("number"))["n"] or 0
    run = PipelineRun.objects.create(
        project=pipeline.project,
        pipeline=pipeline,
        version=version,
        number=last + 1,
        parameters=parameters,
        source=source,
        created_by=actor.user,
        via_job=actor.job_id,
        rerun_of=rerun_of,
    )
    kept = reused or {}
    order = {name: index for index, name in enumerate(definition.nodes)}
    NodeRun.objects.bulk_create(
        _node_row(run, definition, name, order[name], kept.get(name)) for name in definition.nodes
    )
    draw_run(run)
    verb = "rerun" if rerun_of is not None else "run"
    detail: dict[str, Any] = {"run": run.number, "version": version.number, "source": source.value}
    audit(actor, pipeline, verb, **detail, **({"of": rerun_of.number} if rerun_of else {}))
    return run


def _node_row(
    run: PipelineRun, definition: Definition, name: str, position: int, kept: NodeRun | None
) -> NodeRun:
    node = NodeRun(
        pipeline_run=run,
        name=name,
        kind=definition.nodes[name].kind,
        position=position,
        layer=definition.graph.layer_of(name),
    )
    if kept is not None:
        node.state = NodeState.REUSED
        for field in (
            "inputs",
            "outputs",
            "holds",
            "note",
            "subject_kind",
            "subject_id",
            "subject_title",
            "subject_url",
        ):
            setattr(node, field, getattr(kept, field))
        node.reused_from = kept.reused_from or kept
        node.started_at, node.finished_at = kept.started_at, kept.finished_at
    return node


def announce_end(run: PipelineRun, state: str) -> None:
    """Lineage and news of a run that is over, in the transaction that ends it."""
    lineage.set_state(kind=NodeKind.PIPELINE_RUN, key=run.pk, state=state)
    publish(
        events.PipelineRunFinished(
            project_id=run.project_id, pipeline_id=run.pipeline_id, run_id=run.pk, state=str(state)
        )
    )


def draw_run(run: PipelineRun) -> None:
    """Make or refresh the run's node in the lineage graph."""
    lineage.put_node(
        project=run.project,
        kind=NodeKind.PIPELINE_RUN,
        key=run.pk,
        title=run.label,
        url=run.get_absolute_url(),
        state=run.state,
        name=f"{run.pipeline.name}#{run.number}",
    )
