"""Writes that people ask for. Each is atomic and leaves an audit row."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from apps.accounts.access import Actor, check_role, require_user, role_in_project
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.accounts.states import Role
from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from apps.pipelines import events
from apps.pipelines.definition import Definition, clean_parameters, load_definition, read_definition
from apps.pipelines.models import NodeRun, Pipeline, PipelineRun, PipelineVersion
from apps.pipelines.reusing import reusable
from apps.pipelines.states import (
    DONE,
    LIVE,
    NODE,
    PIPELINE_RUN,
    NodeState,
    PipelineRunState,
    StartedBy,
)
from foundation.clock import now
from foundation.errors import Conflict, Forbidden, Invalid, TooMany
from foundation.events import publish
from foundation.names import check_name, check_text

MOST_WAITING = 50
RERUNS = ("start", "failed")


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


def _duplicate(name: str) -> Conflict:
    return Conflict(
        "pipeline.duplicate", f"There is already a pipeline '{name}' in this project.", {"name": name}
    )


def create_pipeline(*, actor: Actor, project: Project, definition: Any) -> Pipeline:
    """A pipeline from its definition: JSON text (then errors name line and column) or a parsed value.

    Raises Invalid "pipeline.…" with every fault in detail.errors, Conflict "pipeline.duplicate".
    """
    checked = read_definition(definition)
    try:
        with transaction.atomic():
            pipeline = Pipeline.objects.create(
                project=project,
                created_by=actor.user,
                name=checked.name,
                description=checked.description or "",
            )
            _add_version(actor, pipeline, checked)
            audit(actor, pipeline, "create", version=1, nodes=len(checked.nodes))
    except IntegrityError as error:
        if "pipeline_name_in_project" in str(error):
            raise _duplicate(checked.name) from error
        raise
    return pipeline


def _add_version(actor: Actor, pipeline: Pipeline, definition: Definition) -> PipelineVersion:
    """The next version; the caller holds the pipeline's row, or has just made it."""
    last = pipeline.versions.aggregate(n=Max("number"))["n"] or 0
    version = PipelineVersion.objects.create(
        pipeline=pipeline,
        number=last + 1,
        source=definition.source,
        digest=definition.digest,
        created_by=actor.user,
    )
    pipeline.latest = version
    pipeline.save(update_fields=["latest", "updated_at"])
    return version


@transaction.atomic
def update_pipeline(
    *,
    actor: Actor,
    pipeline: Pipeline,
    name: object = None,
    description: object = None,
    definition: Any = None,
) -> Pipeline:
    """Rename, describe, or give it another definition, all or nothing; what is None stays.

    A definition that does something else becomes the next version; runs that began keep theirs. Name and
    description may also stand in the definition. Raises Invalid, Conflict "pipeline.duplicate".
    """
    locked = (
        Pipeline.objects.select_for_update(of=("self",))
        .select_related("project", "latest")
        .get(pk=pipeline.pk)
    )
    changed: dict[str, Any] = {}
    if definition is not None:
        checked = read_definition(definition, name=locked.name)
        name = checked.name if name is None else name
        description = checked.description if description is None else description
        if locked.latest is None or checked.digest != locked.latest.digest:
            changed["version"] = _add_version(actor, locked, checked).number
    if name is not None and name != locked.name:
        locked.name = changed["name"] = _check_free(name)
    if description is not None and description != locked.description:
        locked.description = changed["description"] = check_text(description, field="description")
    if changed:
        try:
            with transaction.atomic():
                locked.save(update_fields=["name", "description", "updated_at"])
        except IntegrityError as error:
            raise _duplicate(locked.name) from error
        if "name" in changed:
            _redraw_runs(locked)
        audit(actor, locked, "update", **changed)
    pipeline.refresh_from_db()
    return pipeline


def _check_free(name: object) -> str:
    from apps.pipelines.definition import TAKEN_NAMES

    checked = check_name(name)
    if checked in TAKEN_NAMES:
        raise Invalid(
            "name.invalid", f"'{checked}' is the address of a page; choose another name.", {"field": "name"}
        )
    return checked


@transaction.atomic
def trash_pipeline(*, actor: Actor, pipeline: Pipeline) -> None:
    """Move it to the trash; its runs stay. Raises Conflict "pipeline.busy" while one of them works."""
    Pipeline.objects.select_for_update(of=("self",)).get(pk=pipeline.pk)
    if pipeline.runs.filter(state__in=LIVE).exists():
        raise Conflict("pipeline.busy", f"Runs of '{pipeline.name}' are still working; cancel them first.")
    if Pipeline.objects.filter(pk=pipeline.pk, deleted_at__isnull=True).update(deleted_at=now()):
        for key in pipeline.runs.values_list("pk", flat=True):
            lineage.set_alive(kind=NodeKind.PIPELINE_RUN, key=key, alive=False)
        audit(actor, pipeline, "trash")
    pipeline.refresh_from_db()


@transaction.atomic
def restore_pipeline(*, actor: Actor, pipeline: Pipeline) -> Pipeline:
    """Take it out of the trash. Raises Conflict "pipeline.duplicate" when its name is in use again."""
    try:
        with transaction.atomic():
            restored = Pipeline.objects.filter(pk=pipeline.pk, deleted_at__isnull=False).update(
                deleted_at=None
            )
    except IntegrityError as error:
        raise _duplicate(pipeline.name) from error
    if restored:
        for key in pipeline.runs.values_list("pk", flat=True):
            lineage.set_alive(kind=NodeKind.PIPELINE_RUN, key=key, alive=True)
        audit(actor, pipeline, "restore")
    pipeline.refresh_from_db()
    return pipeline


@transaction.atomic
def start_pipeline_run(
    *, actor: Actor, pipeline: Pipeline, parameters: Any = None, source: str = StartedBy.PERSON
) -> PipelineRun:
    """A run of the latest version, queued; the coordinator starts it within a second.

    Every node acts as the actor's user, with the role that person then has. source: "person" or "schedule".
    Raises Invalid "pipeline.parameter_…", Forbidden below contributor or for a deactivated account, Conflict
    "pipeline.trashed", TooMany "pipeline.too_many_runs".
    """
    locked = _lock_for_run(actor, pipeline)
    assert locked.latest is not None
    definition = load_definition(locked.latest.source, name=locked.name)
    values = _pinned(actor, locked.project, definition, clean_parameters(definition, parameters))
    return _write_run(actor, locked, locked.latest, definition, values, source=StartedBy(source))


def _lock_for_run(actor: Actor, pipeline: Pipeline) -> Pipeline:
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


def _pinned(actor: Actor, project: Project, definition: Definition, values: dict[str, Any]) -> dict[str, Any]:
    """Dataset parameters without a version are fixed to the newest one, so that every node of the run, and every
    re-run, sees the same rows. What does not exist (yet) is left for the nodes to complain about."""
    from apps.datasets.access import get_usable_version
    from foundation.errors import AtelierError

    fixed = dict(values)
    for name, parameter in definition.parameters.items():
        value = values[name]
        if parameter.type == "dataset" and isinstance(value, str) and "@" not in value:
            try:
                fixed[name] = get_usable_version(actor, project, value).label
            except AtelierError:
                continue
    return fixed


def _write_run(
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


@transaction.atomic
def rerun(*, actor: Actor, run: PipelineRun, since: str = "failed", latest: bool = False) -> PipelineRun:
    """Another run with the same parameters. since "failed": nodes that succeeded are taken over with their outputs;
    "start": everything anew. latest: with the newest definition; then a node is taken over only when it and all it
    needs are written as they were.

    Raises Conflict "pipeline.run_live" while the run works, "pipeline.nothing_failed" when everything succeeded.
    """
    if since not in RERUNS:
        raise Invalid("pipeline.rerun", f"A run is repeated from {' or '.join(RERUNS)}.", {"field": "from"})
    locked = _lock_for_run(actor, run.pipeline)
    run.refresh_from_db()
    if run.state in LIVE:
        raise Conflict("pipeline.run_live", f"{run.label} is still working.", {"state": run.state})
    assert locked.latest is not None
    version = locked.latest if latest else run.version
    definition = load_definition(version.source, name=locked.name)
    nodes = {node.name: node for node in run.nodes.all()}
    if since == "failed" and version == run.version and run.state == PipelineRunState.SUCCEEDED:
        raise Conflict(
            "pipeline.nothing_failed",
            f"Nothing failed in {run.label}; repeat it from the start.",
            {"state": run.state},
        )
    values = clean_parameters(
        definition, {name: value for name, value in run.parameters.items() if name in definition.parameters}
    )
    before = load_definition(run.version.source, name=locked.name)
    done = {name: node for name, node in nodes.items() if node.state in DONE}
    kept = reusable(before, definition, done, values, run.parameters) if since == "failed" else {}
    return _write_run(
        actor, locked, version, definition, values, source=StartedBy.PERSON, rerun_of=run, reused=kept
    )


@transaction.atomic
def cancel_pipeline_run(*, actor: Actor, run: PipelineRun) -> PipelineRun:
    """Stop a run: a waiting one at once, a working one as soon as its jobs have ended. Asking twice changes nothing.

    Raises Conflict "pipeline.run_over" when it is over.
    """
    locked = (
        PipelineRun.objects.select_for_update(of=("self",)).select_related("pipeline__project").get(pk=run.pk)
    )
    sentence = f"Cancelled by {actor.label}."
    rows = PipelineRun.objects.filter(pk=run.pk)
    if locked.state == PipelineRunState.QUEUED:
        for node in locked.nodes.filter(state=NodeState.WAITING):
            NODE.move(
                NodeRun.objects.filter(pk=node.pk), to=NodeState.CANCELLED, reason=sentence, updated_at=now()
            )
        PIPELINE_RUN.move(
            rows, to=PipelineRunState.CANCELLED, reason=sentence, finished_at=now(), updated_at=now()
        )
        announce_end(locked, PipelineRunState.CANCELLED)
        audit(actor, locked.pipeline, "cancel_run", run=locked.number)
    elif locked.state == PipelineRunState.RUNNING:
        PIPELINE_RUN.move(
            rows,
            to=PipelineRunState.STOPPING,
            ending=PipelineRunState.CANCELLED,
            reason=sentence,
            updated_at=now(),
        )
        lineage.set_state(kind=NodeKind.PIPELINE_RUN, key=run.pk, state=PipelineRunState.STOPPING)
        audit(actor, locked.pipeline, "cancel_run", run=locked.number)
    elif locked.state != PipelineRunState.STOPPING:
        raise Conflict(
            "pipeline.run_over",
            f"{locked.label} is over: it {'was ' if locked.state == 'cancelled' else ''}{locked.state}.",
            {"state": locked.state},
        )
    run.refresh_from_db()
    return run


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


def _redraw_runs(pipeline: Pipeline) -> None:
    for run in pipeline.runs.select_related("project", "pipeline__project"):
        run.pipeline = pipeline
        draw_run(run)
