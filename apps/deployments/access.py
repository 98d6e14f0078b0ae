"""Which deployments reach a request: those of a visible project that are not in the trash."""

from __future__ import annotations

from uuid import UUID

from apps.accounts.models import Project
from apps.deployments.models import Deployment, EventImport
from foundation.errors import NotFound


def get_deployment(project: Project, name: str) -> Deployment:
    """The deployment of that name in a project the caller was already let into. Raises NotFound."""
    found = (
        Deployment.objects.alive()
        .filter(project=project, name=name)
        .select_related("project", "current", "created_by")
        .first()
    )
    if found is None:
        raise NotFound("deployment.not_found", f"There is no deployment '{name[:63]}' in this project.")
    return found


def get_trashed_deployment(project: Project, name: str) -> Deployment:
    """The most recently deleted deployment of that name. Raises NotFound."""
    found = (
        Deployment.objects.trashed()
        .filter(project=project, name=name)
        .select_related("project", "current")
        .order_by("-deleted_at")
        .first()
    )
    if found is None:
        raise NotFound("deployment.not_found", f"There is no deployment '{name[:63]}' in the trash.")
    return found


def get_event_import(deployment: Deployment, import_id: UUID) -> EventImport:
    """One import of a deployment. Raises NotFound."""
    found = deployment.imports.filter(pk=import_id).first()
    if found is None:
        raise NotFound("deployment.import_not_found", "There is no such import in this deployment.")
    return found
