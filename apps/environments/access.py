"""Which environments reach a request: those of a project it was let into. Anything else is NotFound."""

from __future__ import annotations

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.environments.models import Environment
from foundation.errors import Forbidden, NotFound


def get_environment(project: Project, name: str, *, trashed: bool = False) -> Environment:
    """The environment of that name in a project the caller was already let into. Raises NotFound."""
    found = (
        Environment.objects.filter(
            project=project, name=name.replace("\x00", ""), deleted_at__isnull=not trashed
        )
        .select_related("project", "created_by", "job__project")
        .order_by("-deleted_at")
        .first()
    )
    if found is None:
        where = "in the trash" if trashed else "in this project"
        raise NotFound("environment.not_found", f"There is no environment '{name[:63]}' {where}.")
    return found  # type: ignore[no-any-return]  # the base's manager is untyped


def check_allowed(actor: Actor, project: Project) -> None:
    """Raises Forbidden "environment.not_allowed" where the project has own code switched off: packages are code.
    A job's token makes none either ("environment.by_job")."""
    if not project.own_code:
        raise Forbidden(
            "environment.not_allowed",
            "Own scripts are switched off in this project, and with them environments. A maintainer or an owner of "
            "the team can allow them in the project's settings.",
            {"setting": "own_code", "needed": "maintainer"},
        )
    if actor.job_id is not None:
        raise Forbidden("environment.by_job", "A job cannot make an environment; a person can.")
