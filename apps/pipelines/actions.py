"""Writes that people ask for. Each is atomic and leaves an audit row."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from apps.pipelines.definition import TAKEN_NAMES, Definition, load_definition, read_definition
from apps.pipelines.models import NodeRun, Pipeline, PipelineRun, PipelineVersion
from apps.pipelines.new_run import announce_end, audit, draw_run, lock_for_run, pinned, write_run
from apps.pipelines.parameters import clean_parameters
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
from foundation.errors import Conflict, Invalid
from foundation.names import check_name, check_text

RERUNS = ("start", "failed")


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
    locked = lock_for_run(actor, pipeline)
    assert locked.latest is not None
    definition = load_definition(locked.latest.source, name=locked.name)
    values = pinned(actor, locked.project, definition, clean_parameters(definition, parameters))
    return write_run(actor, locked, locked.latest, definition, values, source=StartedBy(source))


@transaction.atomic
def rerun(*, actor: Actor, run: PipelineRun, since: str = "failed", latest: bool = False) -> PipelineRun:
    """Another run with the same parameters. since "failed": nodes that succeeded are taken over with their outputs;
    "start": everything anew. latest: with the newest definition; then a node is taken over only when it and all it
    needs are written as they were.

    Raises Conflict "pipeline.run_live" while the run works, "pipeline.nothing_failed" when everything succeeded.
    """
    if since not in RERUNS:
        raise Invalid("pipeline.rerun", f"A run is repeated from {' or '.join(RERUNS)}.", {"field": "from"})
    locked = lock_for_run(actor, run.pipeline)
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
    return write_run(
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


def _redraw_runs(pipeline: Pipeline) -> None:
    for run in pipeline.runs.select_related("project", "pipeline__project"):
        run.pipeline = pipeline
        draw_run(run)
