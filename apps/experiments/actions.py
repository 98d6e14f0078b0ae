"""Writes that people ask for: start, cancel, describe, trash and restore runs and experiments.

Each is one transaction with its audit row and its lineage, and returns the object. MLflow's tables are
written through adapters.tracking, whose statements join the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Q

from adapters.tracking import DatasetInput, get_tracking
from apps.accounts.access import Actor
from apps.accounts.audit import record_audits
from apps.accounts.models import Project
from apps.experiments import events
from apps.experiments.adoption import refresh_client_run
from apps.experiments.mirror import audit_experiment, ensure_experiment, mirror_experiments
from apps.experiments.models import Experiment, Run
from apps.experiments.recording import put_in_lineage, run_audit
from apps.experiments.rules.spec import kept
from apps.experiments.spec import RunSpec
from apps.experiments.states import TO_MLFLOW, RunSource
from apps.jobs.actions import request_cancel, submit
from apps.jobs.states import JobState
from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from foundation.clock import now
from foundation.errors import Conflict, Invalid
from foundation.events import publish
from foundation.ids import uuid7
from foundation.names import check_name, check_text

TRAIN = "experiments.train"


@transaction.atomic
def start_run(
    *,
    actor: Actor,
    project: Project,
    spec: RunSpec,
    kind: str = TRAIN,
    parent: Run | None = None,
    title: str = "",
    tags: dict[str, str] | None = None,
) -> Run:
    """Accept a training: MLflow's run, ours, the job, the audit row and the lineage, or none of them.

    kind: of the job, whose handler is tasks.Train or a refinement of it. parent: the run of the study that it is
    a trial of; the study has its own audit row and edges. tags: those that belong to the system.
    """
    experiment = ensure_experiment(actor=actor, project=project, name=spec.experiment)
    run = _new_run(actor, project, experiment, spec)
    run.parent = parent
    _make_in_mlflow(actor, run, spec, tags or {})
    run.job = submit(
        kind=kind,
        project=project,
        created_by=actor.user,
        spec={"run": run.hex},
        title=title or f"Train {spec.algorithm.title} on {run.dataset_label}",
        subject=("run", run.hex),
        timeout=spec.timeout,
        placement=spec.placement,
    )
    run.save(force_insert=True)
    if parent is None:
        _audit_run(
            actor,
            run,
            "run.start",
            {"experiment": experiment.name, "dataset": run.dataset_label, "algorithm": run.algorithm},
        )
    put_in_lineage(run)
    return run


@transaction.atomic
def open_study_run(*, actor: Actor, project: Project, spec: RunSpec, tags: dict[str, str]) -> Run:
    """The run that holds the trials of a study together: without a job; close_study_run tells its end."""
    experiment = ensure_experiment(actor=actor, project=project, name=spec.experiment)
    run = _new_run(actor, project, experiment, spec)
    run.source, run.client_state, run.client_started_at = RunSource.STUDY, JobState.RUNNING, now()
    _make_in_mlflow(actor, run, spec, tags)
    get_tracking().start_run(run.hex)
    run.save(force_insert=True)
    return run


@transaction.atomic
def reopen_study_run(run: Run) -> None:
    """The study goes on."""
    run.client_state, run.client_finished_at = JobState.RUNNING, None
    run.save(update_fields=["client_state", "client_finished_at", "updated_at"])
    get_tracking().finish_run(run.hex, "RUNNING")


@transaction.atomic
def close_study_run(
    run: Run, state: JobState, *, metrics: Mapping[str, float], tags: Mapping[str, str]
) -> None:
    """The study is over; the best trial's metrics and parameters (as tags: they may change) stand with its run."""
    run.client_state, run.client_finished_at = state, now()
    run.save(update_fields=["client_state", "client_finished_at", "updated_at"])
    tracking = get_tracking()
    tracking.add_metrics(run.hex, metrics)
    tracking.set_tags(run.hex, dict(tags))
    tracking.finish_run(run.hex, TO_MLFLOW[state])  # type: ignore[arg-type]  # one of MLflow's words
    publish(events.RunFinished(run_id=run.pk, project_id=run.project_id, state=state))


def _new_run(actor: Actor, project: Project, experiment: Experiment, spec: RunSpec) -> Run:
    run_id = uuid7()
    return Run(
        id=run_id,
        project=project,
        created_by=actor.user,
        experiment=experiment,
        name=spec.name or f"{spec.algorithm.name.replace('_', '-')}-{run_id.hex[-4:]}",
        description=spec.description,
        source=RunSource.ATELIER,
        dataset_version=spec.version,
        target=spec.target,
        task=spec.task or "",
        algorithm=spec.algorithm.name,
        parameters=spec.parameters,
        features=spec.features,
        seed=spec.seed,
        test_size=None if spec.folds else spec.test_size,
        folds=spec.folds,
        rules=kept(spec.rules),
    )


def _make_in_mlflow(actor: Actor, run: Run, spec: RunSpec, tags: dict[str, str]) -> None:
    note = {"mlflow.note.content": spec.description} if spec.description else {}
    parent = {"mlflow.parentRunId": run.parent.hex} if run.parent else {}
    version = spec.version
    get_tracking().create_run(
        project_id=run.project_id,
        run_id=run.hex,
        experiment_id=run.experiment.mlflow_id,
        name=run.name,
        user=actor.label,
        parameters=_submitted_parameters(spec),
        tags={**spec.tags, **note, **parent, **tags},
        dataset=DatasetInput(
            name=version.dataset.name,
            digest=version.digest,
            source=f'{{"dataset": "{version.dataset.name}", "version": {version.number}}}',
        ),
    )


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
    audit_experiment(actor, experiment, "experiment.update", {"before": before})
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
    audit_experiment(actor, experiment, "experiment.trash")
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
    audit_experiment(actor, experiment, "experiment.restore")
    return experiment


def cancel_run(*, actor: Actor, run: Run) -> Run:
    """Ask a run to stop; see jobs.request_cancel. A client's run is marked as killed: the studio cannot reach
    its program, which may have died long ago. Raises Conflict when it is over, or a study's own."""
    _refuse_of_study(run)
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
    """Move a finished run to the trash. Raises Conflict "run.busy" while it works, "run.of_study"."""
    _refuse_of_study(run)
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


@transaction.atomic
def trash_family(run: Run) -> None:
    """Move a study's run and its trials to the trash, those that are not there yet."""
    _move_family(run, Run.objects.alive(), now())


@transaction.atomic
def restore_family(run: Run) -> None:
    """Bring back what trash_family moved, not what lay there before."""
    _move_family(run, Run.objects.filter(deleted_at=run.deleted_at), None)


def _move_family(run: Run, runs: Any, stamp: Any) -> None:
    tracking = get_tracking()
    move = tracking.restore_run if stamp is None else tracking.delete_run
    for one in runs.filter(Q(pk=run.pk) | Q(parent=run)):
        move(one.hex)
        Run.objects.filter(pk=one.pk).update(deleted_at=stamp)
        lineage.set_alive(kind=NodeKind.RUN, key=one.hex, alive=stamp is None)
    run.deleted_at = stamp


def _refuse_of_study(run: Run) -> None:
    if run.source == RunSource.STUDY:
        raise Conflict(
            "run.of_study",
            f"The run '{run.name}' holds the trials of a study together: stop or delete the study instead.",
        )


def _audit_run(actor: Actor, run: Run, action: str, detail: dict[str, Any] | None = None) -> None:
    record_audits([run_audit(actor, run, action, detail)])
