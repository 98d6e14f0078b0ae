"""Which runs and experiments a request may see and change. Not yours = 404, too small a role = 403."""

from __future__ import annotations

import uuid

from adapters.tracking import get_tracking
from apps.accounts.access import Actor, check_role, require_write, role_in_project
from apps.accounts.models import Project
from apps.accounts.states import Role
from apps.experiments.adoption import adopt_missing
from apps.experiments.models import Experiment, Run
from foundation.errors import NotFound


def _missing_run(run_id: object) -> NotFound:
    return NotFound("run.not_found", "There is no such run in this project.", {"id": str(run_id)[:60]})


def get_visible_run(actor: Actor, project: Project, run_id: object, *, trashed: bool = False) -> Run:
    """A run of a project that the actor may see (the caller has checked the project).

    run_id: 32 hex digits (or the dashed form). trashed: look in the trash instead. Raises NotFound
    "run.not_found", also for what is no id at all.
    """
    try:
        key = run_id if isinstance(run_id, uuid.UUID) else uuid.UUID(str(run_id))
    except ValueError:
        raise _missing_run(run_id) from None
    runs = Run.objects.with_relations().filter(project=project, deleted_at__isnull=not trashed)
    run: Run | None = runs.filter(pk=key).first()
    if run is None and adopt_missing(project, [key.hex]):  # a client made it a moment ago
        run = runs.filter(pk=key).first()
    if run is None:
        raise _missing_run(run_id)
    return run


def is_child(project_id: uuid.UUID, run_id: str, parent: str) -> bool:
    """Whether a run is a child of another one, as far as the studio or MLflow knows: a job may log to it."""
    if Run.objects.filter(project_id=project_id, pk=uuid.UUID(run_id), parent_id=uuid.UUID(parent)).exists():
        return True
    data = get_tracking().runs([run_id], project_id=project_id).get(run_id)
    return data is not None and data.tags.get("mlflow.parentRunId") == parent


def get_editable_run(actor: Actor, project: Project, run_id: object, *, trashed: bool = False) -> Run:
    """A run that the actor may change: contributors and above. Raises NotFound, Forbidden."""
    run = get_visible_run(actor, project, run_id, trashed=trashed)
    require_write(actor)
    check_role(role_in_project(actor, project), Role.CONTRIBUTOR)
    return run


def get_visible_experiment(
    actor: Actor, project: Project, key: object, *, trashed: bool = False
) -> Experiment:
    """An experiment by name, by MLflow's number, or by id; a name wins over a number.

    Raises NotFound "experiment.not_found".
    """
    text = str(key)
    found = Experiment.objects.filter(project=project, deleted_at__isnull=not trashed).select_related(
        "project"
    )
    experiment = found.filter(name=text).first() or found.filter(mlflow_id=text[:12]).first()
    if experiment is None:
        try:
            experiment = found.filter(pk=uuid.UUID(text)).first()
        except ValueError:
            experiment = None
    if experiment is None or "\x00" in text:
        raise NotFound(
            "experiment.not_found", "There is no such experiment in this project.", {"experiment": text[:80]}
        )
    return experiment


def get_editable_experiment(
    actor: Actor, project: Project, key: object, *, trashed: bool = False
) -> Experiment:
    """An experiment that the actor may change: contributors and above. Raises NotFound, Forbidden."""
    experiment = get_visible_experiment(actor, project, key, trashed=trashed)
    require_write(actor)
    check_role(role_in_project(actor, project), Role.CONTRIBUTOR)
    return experiment
