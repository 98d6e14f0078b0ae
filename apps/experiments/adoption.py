"""Runs that stock clients make in MLflow get their rows and are kept in line with what the clients say.

News of several comes at once and takes a few statements, since a sweep may make hundreds a second.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from adapters.tracking import ARCHIVED_TAG, RunData, get_tracking
from apps.accounts.access import SYSTEM, Actor
from apps.accounts.audit import record_audits
from apps.accounts.models import Project, User
from apps.experiments import events
from apps.experiments.mirror import mirror_experiments
from apps.experiments.models import RUN_NAME_LENGTH, Experiment, Run
from apps.experiments.recording import put_in_lineage, run_audit, run_node
from apps.experiments.states import FROM_MLFLOW, RunSource
from apps.jobs.states import TERMINAL, JobState
from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from foundation.clock import now
from foundation.errors import NotFound
from foundation.events import publish


@dataclass(frozen=True)
class NewRun:
    """News of a run that a client made. parent: the run of the job that made it."""

    actor: Actor
    run_id: str
    name: str = ""
    parent: str | None = None


def adopt_runs(*, project: Project, made: Sequence[NewRun]) -> None:
    """Give runs that stock clients made in MLflow their rows. Twice changes nothing, unknown ones are left
    out. What does not go together goes one by one."""
    if len(made) > 1:
        try:
            _together(project, made)
        except IntegrityError:  # another process was quicker with one of them
            pass
        else:
            return
    for one in made:
        try:
            adopt_run(actor=one.actor, project=project, run_id=one.run_id, name=one.name, parent=one.parent)
        except NotFound:
            continue


@transaction.atomic
def _together(project: Project, made: Sequence[NewRun]) -> None:
    found = get_tracking().runs([one.run_id for one in made], project_id=project.pk)
    wanted = {one.run_id: one for one in made if one.run_id in found}
    parents = {
        run_id: one.parent or found[run_id].tags.get("mlflow.parentRunId") for run_id, one in wanted.items()
    }
    ids = {uuid.UUID(run_id) for run_id in wanted}
    known = {run.hex: run for run in Run.objects.filter(project=project, pk__in=ids)}
    numbers = {found[run_id].experiment_id for run_id in wanted}
    experiments = Experiment.objects.filter(project=project, mlflow_id__in=numbers)
    mirrored = {experiment.mlflow_id: experiment for experiment in experiments}
    if numbers - mirrored.keys():
        mirror_experiments(project)
        mirrored = {experiment.mlflow_id: experiment for experiment in experiments.all()}
    rows: dict[str, Run] = {}
    for run_id, one in wanted.items():
        if run_id in known:
            continue
        experiment = mirrored[found[run_id].experiment_id]
        experiment.project = project
        rows[run_id] = client_run(one.actor, experiment, found[run_id], one.name)
    for run_id, row in rows.items():
        parent = parents[run_id]
        row.parent = rows.get(parent or "") or known.get(parent or "")
        if row.parent is None:
            row.parent = parent_of(project, run_id, parent)
    Run.objects.bulk_create(rows.values())
    lineage.put_nodes([run_node(row) for row in rows.values()])
    record_audits([run_audit(wanted[run_id].actor, row, "run.adopt") for run_id, row in rows.items()])
    for row in rows.values():
        publish(events.RunAdopted(run_id=row.pk, project_id=project.pk))


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
    record_audits([run_audit(actor, run, "run.adopt")])
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
