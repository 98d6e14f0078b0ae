"""Writes: start, cancel, describe, trash and restore runs; adopt what stock clients make.

Each is one transaction with its audit row and its lineage, and returns the object. MLflow's tables are
written through adapters.tracking, whose statements join the same transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.urls import reverse

from adapters.tracking import ARCHIVED_TAG, DatasetInput, RunData, get_tracking
from apps.accounts.access import SYSTEM, Actor
from apps.accounts.audit import audit_row, record_audit, record_audits
from apps.accounts.models import AuditEvent, Project, User
from apps.experiments import events
from apps.experiments.models import RUN_NAME_LENGTH, Experiment, Run
from apps.experiments.spec import RunSpec, check_experiment_name
from apps.experiments.states import FROM_MLFLOW, RunSource
from apps.jobs.actions import request_cancel, submit
from apps.jobs.states import TERMINAL, JobState
from apps.lineage import actions as lineage
from apps.lineage.models import Node
from apps.lineage.states import EdgeKind, NodeKind
from foundation.clock import now
from foundation.errors import Conflict, Invalid, NotFound
from foundation.events import publish
from foundation.ids import uuid7
from foundation.names import check_name, check_text

TRAIN = "experiments.train"


@transaction.atomic
def start_run(*, actor: Actor, project: Project, spec: RunSpec) -> Run:
    """Accept a training: MLflow's run, ours, the job, the audit row and the lineage, or none of them."""
    tracking = get_tracking()
    experiment = ensure_experiment(actor=actor, project=project, name=spec.experiment)
    run_id = uuid7()
    name = spec.name or f"{spec.algorithm.name.replace('_', '-')}-{run_id.hex[-4:]}"
    version = spec.version
    tracking.create_run(
        project_id=project.pk,
        run_id=run_id.hex,
        experiment_id=experiment.mlflow_id,
        name=name,
        user=actor.label,
        parameters=_submitted_parameters(spec),
        tags={**spec.tags, **({"mlflow.note.content": spec.description} if spec.description else {})},
        dataset=DatasetInput(
            name=version.dataset.name,
            digest=version.digest,
            source=f'{{"dataset": "{version.dataset.name}", "version": {version.number}}}',
        ),
    )
    job = submit(
        kind=TRAIN,
        project=project,
        created_by=actor.user,
        spec={"run": run_id.hex},
        title=f"Train {spec.algorithm.title} on {version.dataset.name}@{version.number}",
        subject=("run", run_id.hex),
        timeout=spec.timeout,
    )
    run = Run.objects.create(
        id=run_id,
        project=project,
        created_by=actor.user,
        experiment=experiment,
        job=job,
        name=name,
        description=spec.description,
        source=RunSource.ATELIER,
        dataset_version=version,
        target=spec.target,
        task=spec.task or "",
        algorithm=spec.algorithm.name,
        parameters=spec.parameters,
        features=spec.features,
        seed=spec.seed,
        test_size=None if spec.folds else spec.test_size,
        folds=spec.folds,
    )
    record_audit(
        actor=actor,
        project=project,
        action="run.start",
        subject_kind="run",
        subject_id=run.hex,
        subject_title=name,
        detail={"experiment": experiment.name, "dataset": run.dataset_label, "algorithm": run.algorithm},
    )
    put_in_lineage(run)
    return run


def _submitted_parameters(spec: RunSpec) -> dict[str, Any]:
    split = {"folds": spec.folds} if spec.folds else {"test_size": spec.test_size}
    known = {"task": spec.task} if spec.task else {}
    return {
        "algorithm": spec.algorithm.name,
        "target": spec.target,
        "seed": spec.seed,
        **known,
        **split,
        **spec.parameters,
    }


def put_in_lineage(run: Run) -> None:
    """Make or refresh the run's node, with its edge from the dataset version."""
    lineage.put_nodes([run_node(run)])
    if run.dataset_version_id is not None:
        lineage.link(
            source=(NodeKind.DATASET_VERSION, run.dataset_version_id),
            target=(NodeKind.RUN, run.hex),
            kind=EdgeKind.TRAINED_ON,
        )


def run_node(run: Run) -> Node:
    """The run's node in the lineage graph, not yet written."""
    return lineage.node_row(
        project=run.project,
        kind=NodeKind.RUN,
        key=run.hex,
        title=run.name,
        url=reverse("experiments:run", kwargs={"project": run.project.slug, "run": run.hex}),
        state=run.state,
        name=run.hex,
    )


@transaction.atomic
def ensure_experiment(*, actor: Actor, project: Project, name: str) -> Experiment:
    """The project's experiment of that name, made (with an audit row) when there is none.

    Raises Conflict when it lies in the trash, Invalid for a name that neither exists nor may be made.
    """
    known = Experiment.objects.alive().filter(project=project, name=name).first()
    if known is not None:
        return known
    check_experiment_name(name, project)
    number = get_tracking().ensure_experiment(project.pk, name)
    experiment, made = Experiment.objects.get_or_create(
        mlflow_id=number, defaults={"project": project, "name": name, "created_by": actor.user}
    )
    if made:
        _audit_experiment(actor, experiment, "experiment.create")
    elif experiment.name != name:
        Experiment.objects.filter(pk=experiment.pk).update(name=name)
        experiment.name = name
    return experiment


@transaction.atomic
def create_experiment(*, actor: Actor, project: Project, name: str, description: str = "") -> Experiment:
    """A new experiment. Raises Conflict "experiment.exists" when the name is taken, in the trash too."""
    check_name(name)
    mirror_experiments(project)
    if Experiment.objects.filter(project=project, name=name).exists():
        raise Conflict(
            "experiment.exists",
            f"There is already an experiment '{name}', perhaps in the trash.",
            {"field": "name"},
        )
    experiment = ensure_experiment(actor=actor, project=project, name=name)
    experiment.description = check_text(description, field="description")
    experiment.save(update_fields=["description", "updated_at"])
    return experiment


@transaction.atomic
def mirror_experiments(project: Project) -> None:
    """Bring our rows in line with MLflow's table, which stock clients change as well."""
    tracking = get_tracking()
    mirrored = {e.mlflow_id: e for e in Experiment.objects.filter(project=project)}
    for one in tracking.list_experiments(project.pk, stage="all"):
        ours = mirrored.get(one.id)
        if ours is None:
            Experiment.objects.get_or_create(
                mlflow_id=one.id,
                defaults={
                    "project": project,
                    "name": one.name,
                    "deleted_at": now() if one.deleted else None,
                    **({"created_at": one.created_at} if one.created_at else {}),
                },
            )
        elif ours.name != one.name or one.deleted != (ours.deleted_at is not None):
            Experiment.objects.filter(pk=ours.pk).update(
                name=one.name, deleted_at=(ours.deleted_at or now()) if one.deleted else None
            )


@transaction.atomic
def update_experiment(
    *, actor: Actor, experiment: Experiment, name: str | None = None, description: str | None = None
) -> Experiment:
    """Rename or describe. Raises Conflict for a name in use, Invalid for a bad one."""
    before = experiment.name
    if name is not None and name != experiment.name:
        check_name(name)
        get_tracking().rename_experiment(experiment.project_id, experiment.mlflow_id, name)
        experiment.name = name
    if description is not None:
        experiment.description = check_text(description, field="description")
    experiment.save(update_fields=["name", "description", "updated_at"])
    _audit_experiment(actor, experiment, "experiment.update", {"before": before})
    return experiment


@transaction.atomic
def trash_experiment(*, actor: Actor, experiment: Experiment) -> Experiment:
    """Move an experiment and its runs to the trash. Raises Conflict while a run is still working."""
    if Run.objects.alive().filter(experiment=experiment).live().exists():
        raise Conflict(
            "experiment.busy", f"Runs of '{experiment.name}' are still working; cancel them first."
        )
    if experiment.name == "Default":
        raise Conflict("experiment.default", "The experiment 'Default' takes runs that name none; it stays.")
    stamp = now()
    get_tracking().delete_experiment(experiment.project_id, experiment.mlflow_id)
    Run.objects.alive().filter(experiment=experiment).update(deleted_at=stamp)
    experiment.deleted_at = stamp
    experiment.save(update_fields=["deleted_at", "updated_at"])
    for run in Run.objects.filter(experiment=experiment):
        lineage.set_alive(kind=NodeKind.RUN, key=run.hex, alive=False)
    _audit_experiment(actor, experiment, "experiment.trash")
    return experiment


@transaction.atomic
def restore_experiment(*, actor: Actor, experiment: Experiment) -> Experiment:
    """Bring an experiment and its runs back (MLflow brings back all of them)."""
    get_tracking().restore_experiment(experiment.project_id, experiment.mlflow_id)
    Run.objects.filter(experiment=experiment).update(deleted_at=None)
    experiment.deleted_at = None
    experiment.save(update_fields=["deleted_at", "updated_at"])
    for run in Run.objects.filter(experiment=experiment):
        lineage.set_alive(kind=NodeKind.RUN, key=run.hex, alive=True)
    _audit_experiment(actor, experiment, "experiment.restore")
    return experiment


def _audit_experiment(
    actor: Actor, experiment: Experiment, action: str, detail: dict[str, Any] | None = None
) -> None:
    record_audit(
        actor=actor,
        project=experiment.project,
        action=action,
        subject_kind="experiment",
        subject_id=experiment.pk,
        subject_title=experiment.name,
        detail=detail or {},
    )


def cancel_run(*, actor: Actor, run: Run) -> Run:
    """Ask a run to stop; see jobs.request_cancel. A client's run is marked as killed: the studio cannot reach
    its program, which may have died long ago. Raises Conflict when it is over."""
    if run.job is None:
        return _end_client_run(actor, run)
    request_cancel(job=run.job, actor=actor)
    again: Run = Run.objects.with_relations().get(pk=run.pk)
    return again


@transaction.atomic
def _end_client_run(actor: Actor, run: Run) -> Run:
    if run.is_terminal:
        raise Conflict("run.over", f"The run '{run.name}' is over.", {"state": run.state})
    get_tracking().finish_run(run.hex, "KILLED")
    refresh_client_run(run, get_tracking().runs([run.hex])[run.hex])
    _audit_run(actor, run, "run.cancel")
    publish(events.RunFinished(run_id=run.pk, project_id=run.project_id, state=run.client_state))
    return run


@transaction.atomic
def update_run(
    *,
    actor: Actor,
    run: Run,
    name: str | None = None,
    description: str | None = None,
    tags: dict[str, str | None] | None = None,
) -> Run:
    """Rename, describe, tag (None removes a tag). MLflow is told the same. Raises Invalid."""
    tracking = get_tracking()
    changed: dict[str, Any] = {}
    if name is not None and name != run.name:
        run.name = changed["name"] = check_name(name)
        tracking.rename_run(run.hex, run.name)
    if description is not None and description != run.description:
        run.description = check_text(description, field="description")
        changed["description"] = True
        tracking.set_tags(run.hex, {"mlflow.note.content": run.description or None})
    if tags:
        for key in tags:
            if str(key).startswith(("mlflow.", "atelier.")):
                raise Invalid(
                    "run.reserved_tag", f"The tag '{str(key)[:60]}' belongs to the system.", {"field": "tags"}
                )
        tracking.set_tags(run.hex, {str(k): None if v is None else str(v) for k, v in tags.items()})
        changed["tags"] = sorted(tags)
    if changed:
        run.save(update_fields=["name", "description", "updated_at"])
        put_in_lineage(run)
        _audit_run(actor, run, "run.update", changed)
    return run


@transaction.atomic
def trash_run(*, actor: Actor, run: Run) -> Run:
    """Move a finished run to the trash. Raises Conflict "run.busy" while it works."""
    if run.job is not None and not run.is_terminal:
        raise Conflict(
            "run.busy", f"The run '{run.name}' is still working; cancel it first.", {"state": run.state}
        )
    get_tracking().delete_run(run.hex)
    run.deleted_at = now()
    run.save(update_fields=["deleted_at", "updated_at"])
    lineage.set_alive(kind=NodeKind.RUN, key=run.hex, alive=False)
    _audit_run(actor, run, "run.trash")
    return run


@transaction.atomic
def restore_run(*, actor: Actor, run: Run) -> Run:
    """Bring a run back from the trash. Raises Conflict while its experiment is there."""
    if run.experiment.deleted_at is not None:
        raise Conflict("run.experiment_trashed", f"Restore the experiment '{run.experiment.name}' first.")
    get_tracking().restore_run(run.hex)
    run.deleted_at = None
    run.save(update_fields=["deleted_at", "updated_at"])
    lineage.set_alive(kind=NodeKind.RUN, key=run.hex, alive=True)
    _audit_run(actor, run, "run.restore")
    return run


def _audit_run(actor: Actor, run: Run, action: str, detail: dict[str, Any] | None = None) -> None:
    record_audits([run_audit(actor, run, action, detail)])


def run_audit(actor: Actor, run: Run, action: str, detail: dict[str, Any] | None = None) -> AuditEvent:
    """The audit row about a run, not yet written."""
    return audit_row(
        actor=actor,
        project=run.project,
        action=action,
        subject_kind="run",
        subject_id=run.hex,
        subject_title=run.name,
        detail=detail or {},
    )


def adopt_run(
    *,
    actor: Actor,
    project: Project,
    run_id: str,
    experiment_id: str = "",
    name: str = "",
    parent: str | None = None,
) -> Run:
    """Give a run that a stock client made in MLflow its row. Adopting twice changes nothing.

    Raises NotFound when MLflow has no such run in this project.
    """
    data = get_tracking().runs([run_id], project_id=project.pk).get(run_id)
    known: Run | None = Run.objects.filter(project=project, pk=uuid.UUID(run_id)).first()
    if known is not None:
        return known
    if data is None:
        raise NotFound("run.not_found", "There is no such run in this project.", {"id": run_id[:60]})
    return _adopt(actor, project, data, name, parent or data.tags.get("mlflow.parentRunId"))


@transaction.atomic
def _adopt(actor: Actor, project: Project, data: RunData, name: str, parent: str | None) -> Run:
    experiment = Experiment.objects.filter(project=project, mlflow_id=data.experiment_id).first()
    if experiment is None:
        mirror_experiments(project)
        experiment = Experiment.objects.get(project=project, mlflow_id=data.experiment_id)
    try:
        with transaction.atomic():
            run = client_run(actor, experiment, data, name)
            run.parent = parent_of(project, data.id, parent)
            run.save(force_insert=True)
    except IntegrityError:  # another process adopted it in the meantime
        return Run.objects.get(project=project, pk=uuid.UUID(data.id))
    put_in_lineage(run)
    _audit_run(actor, run, "run.adopt")
    publish(events.RunAdopted(run_id=run.pk, project_id=project.pk))
    return run


def client_run(actor: Actor, experiment: Experiment, data: RunData, name: str) -> Run:
    """The row of a run that a client made in MLflow, without its parent, not yet written."""
    return Run(
        id=uuid.UUID(data.id),
        project=experiment.project,
        created_by=actor.user or _author(data),
        experiment=experiment,
        name=(data.name or name or data.id)[:RUN_NAME_LENGTH],
        source=RunSource.CLIENT,
        deleted_at=now() if data.deleted else None,
        **_client_fields(data),
    )


def _author(data: RunData) -> User | None:
    """Who made a client's run: the gateway writes the caller's name into MLflow's row, whatever was sent."""
    return User.objects.filter(username=data.user).first() if data.user else None


def parent_of(project: Project, run_id: str, parent: str | None) -> Run | None:
    """The row of a run's parent. News of the parent may come later, or was lost: then it gets its row here."""
    if not parent or parent == run_id or not _is_id(parent):
        return None
    rows = Run.objects.filter(project=project, pk=uuid.UUID(parent))
    found: Run | None = rows.first()
    if found is None and adopt_missing(project, [parent], with_parents=False):
        found = rows.first()
    return found


def adopt_missing(project: Project, run_ids: Iterable[str], *, with_parents: bool = True) -> int:
    """Adopt those of the runs that have no row yet: news of a client's run may have been lost. How many."""
    wanted = {uuid.UUID(r) for r in run_ids if _is_id(r)}
    known = set(Run.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    missing = sorted(key.hex for key in wanted - known)
    found = get_tracking().runs(missing, project_id=project.pk) if missing else {}
    found = {key: data for key, data in found.items() if ARCHIVED_TAG not in data.tags}
    for data in found.values():
        _adopt(SYSTEM, project, data, "", data.tags.get("mlflow.parentRunId") if with_parents else None)
    return len(found)


def refresh_client_run(run: Run, data: RunData) -> Run:
    """Take over what a client changed of its own run: state, times, name, note, trash."""
    if run.source != RunSource.CLIENT:
        return run
    fields = _client_fields(data)
    fields["name"] = (data.name or run.name)[:RUN_NAME_LENGTH]
    if data.deleted != (run.deleted_at is not None):
        fields["deleted_at"] = now() if data.deleted else None
    changed = {name: value for name, value in fields.items() if getattr(run, name) != value}
    if changed:
        Run.objects.filter(pk=run.pk).update(**changed)
        for name, value in changed.items():
            setattr(run, name, value)
        if "client_state" in changed:
            lineage.set_state(kind=NodeKind.RUN, key=run.hex, state=run.client_state)
    return run


def observe_run(*, actor: Actor, project: Project, run_id: str, status: str) -> None:
    """A client changed the status of a run in MLflow. A job's run is not touched: its job decides."""
    run = Run.objects.filter(project=project, pk=uuid.UUID(run_id)).first() if _is_id(run_id) else None
    data = get_tracking().runs([run_id], project_id=project.pk).get(run_id) if run else None
    if run is None or data is None or run.source != RunSource.CLIENT:
        return
    refresh_client_run(run, data)
    if run.client_state in TERMINAL:
        publish(events.RunFinished(run_id=run.pk, project_id=project.pk, state=run.client_state))


def _client_fields(data: RunData) -> dict[str, Any]:
    model = data.models[-1] if data.models else None
    return {
        "client_state": FROM_MLFLOW.get(data.status, JobState.RUNNING),
        "description": data.tags.get("mlflow.note.content", ""),
        "client_started_at": data.start,
        "client_finished_at": data.end,
        "model": {"id": model.id, "uri": f"models:/{model.id}", "name": model.name} if model else None,
    }


def _is_id(text: object) -> bool:
    return isinstance(text, str) and len(text) == 32 and all(c in "0123456789abcdef" for c in text)
