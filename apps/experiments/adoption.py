"""New runs of stock clients get their rows: several at once in a few statements, since a sweep may make
hundreds a second."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from adapters.tracking import get_tracking
from apps.accounts.access import Actor
from apps.accounts.audit import record_audits
from apps.accounts.models import Project
from apps.experiments import actions, events
from apps.experiments.models import Experiment, Run
from apps.lineage import actions as lineage
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
            actions.adopt_run(
                actor=one.actor, project=project, run_id=one.run_id, name=one.name, parent=one.parent
            )
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
        actions.mirror_experiments(project)
        mirrored = {experiment.mlflow_id: experiment for experiment in experiments.all()}
    rows: dict[str, Run] = {}
    for run_id, one in wanted.items():
        if run_id in known:
            continue
        experiment = mirrored[found[run_id].experiment_id]
        experiment.project = project
        rows[run_id] = actions.client_run(one.actor, experiment, found[run_id], one.name)
    for run_id, row in rows.items():
        parent = parents[run_id]
        row.parent = rows.get(parent or "") or known.get(parent or "")
        if row.parent is None:
            row.parent = actions.parent_of(project, run_id, parent)
    Run.objects.bulk_create(rows.values())
    lineage.put_nodes([actions.run_node(row) for row in rows.values()])
    record_audits([actions.run_audit(wanted[run_id].actor, row, "run.adopt") for run_id, row in rows.items()])
    for row in rows.values():
        publish(events.RunAdopted(run_id=row.pk, project_id=project.pk))
