"""Which studies and trials reach a request: those of a visible project. Anything else is NotFound."""

from __future__ import annotations

from uuid import UUID

from apps.accounts.models import Project
from apps.tuning.models import Study, Trial
from foundation.errors import NotFound

RELATIONS = ("project", "experiment", "dataset_version__dataset", "run", "created_by", "final_run")


def get_study(project: Project, name: str, *, trashed: bool = False) -> Study:
    """The study of that name in a project the caller was already let into. Raises NotFound."""
    found = (
        Study.objects.filter(project=project, name=name.replace("\x00", ""), deleted_at__isnull=not trashed)
        .select_related(*RELATIONS)
        .order_by("-deleted_at")
        .first()
    )
    if found is None:
        where = "in the trash" if trashed else "in this project"
        raise NotFound("study.not_found", f"There is no study '{name[:63]}' {where}.")
    return found  # type: ignore[no-any-return]  # the base's manager is untyped


def get_trial(study: Study, number: object) -> Trial:
    """One trial of a study by its number. Raises NotFound."""
    text = str(number)
    trials = study.trials.select_related("run__job", "run__experiment", "study")
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    found = trials.filter(number=wanted).first()
    if found is None:
        raise NotFound("trial.not_found", f"There is no trial {text[:20]} in this study.")
    return found


def get_trial_of_run(project: Project, run_id: str) -> Trial:
    """The trial whose run has this id (32 hex digits). Raises NotFound."""
    try:
        key = UUID(run_id)
    except ValueError:
        key = UUID(int=0)
    found = Trial.objects.select_related("run__job", "study").filter(run_id=key, run__project=project).first()
    if found is None:
        raise NotFound("trial.not_found", "There is no such trial in this project.")
    return found
