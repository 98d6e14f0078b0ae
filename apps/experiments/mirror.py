"""Our rows of MLflow's experiments: brought in line with its table, which stock clients change as well."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from adapters.tracking import get_tracking
from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.experiments.models import Experiment
from apps.experiments.spec import check_experiment_name
from foundation.clock import now


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
        audit_experiment(actor, experiment, "experiment.create")
    elif experiment.name != name:
        Experiment.objects.filter(pk=experiment.pk).update(name=name)
        experiment.name = name
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


def audit_experiment(
    actor: Actor, experiment: Experiment, action: str, detail: dict[str, Any] | None = None
) -> None:
    """Leave the audit row about an experiment."""
    record_audit(
        actor=actor,
        project=experiment.project,
        action=action,
        subject_kind="experiment",
        subject_id=experiment.pk,
        subject_title=experiment.name,
        detail=detail or {},
    )
