"""Reads: what the gateway routes to, what pages and other apps show of deployments and their inferences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import Project
from apps.deployments.inferences import (
    Inference,
    InferencePage,
    InferenceWindow,
    count_inferences,
    get_inference,
    inference_window,
    list_inferences,
    time_span,
)
from apps.deployments.models import Deployment, EventImport, Revision
from apps.deployments.states import DeploymentState, RevisionState

__all__ = [
    "Inference",
    "InferencePage",
    "InferenceWindow",
    "count_inferences",
    "get_inference",
    "inference_window",
    "list_inferences",
    "time_span",
]


def gateway_route(project_id: UUID, name: str) -> dict[str, Any] | None:
    """The fields of gateway.ports.Route but the project's slug, or None when there is no such deployment."""
    from gateway.ports import Column, Signature

    deployment = (
        Deployment.objects.alive().filter(project_id=project_id, name=name).select_related("current").first()
    )
    if deployment is None:
        return None
    revision = deployment.current or newest_built(deployment)
    bundle = revision.bundle if revision else {}
    columns = tuple(Column(c["name"], c["type"], c["required"]) for c in bundle.get("columns", ()))
    live = (
        revision is not None
        and revision.state == RevisionState.READY
        and deployment.state in (DeploymentState.READY, DeploymentState.DEGRADED, DeploymentState.STARTING)
        and deployment.is_running
    )
    return {
        "deployment_id": deployment.pk,
        "name": deployment.name,
        "project_id": project_id,
        "revision": revision.number if revision else 0,
        "model": revision.model_label if revision else deployment.model_ref,
        "socket": (revision.socket or None) if live and revision else None,
        "signature": Signature(
            columns=columns,
            task=bundle.get("task", "regression"),
            classes=tuple(bundle.get("classes", ())),
            example=example_record(bundle),
        ),
        "state": deployment.state,
        "reason": deployment.reason,
    }


def newest_built(deployment: Deployment) -> Revision | None:
    """The newest revision that has a Bento, and therefore a signature."""
    return deployment.revisions.exclude(bento_prefix="").order_by("-number").first()


def signature_of(deployment: Deployment) -> dict[str, Any]:
    """The bundle (columns, task, classes, golden) of the revision that answers, else of the newest built one;
    empty while the first is being built."""
    revision = deployment.current or newest_built(deployment)
    return dict(revision.bundle) if revision else {}


def example_record(bundle: dict[str, Any]) -> dict[str, Any]:
    """A real record (column -> value) from the model's own input example."""
    rows = bundle.get("golden", {}).get("rows") or []
    return dict(zip((c["name"] for c in bundle.get("columns", ())), rows[0], strict=False)) if rows else {}


def deployments_of(
    project: Project, *, q: str = "", state: str = "", trashed: bool = False
) -> QuerySet[Deployment]:
    """A project's deployments, or those in its trash. q: part of the name or of the model."""
    rows = Deployment.objects.trashed() if trashed else Deployment.objects.alive()
    rows = rows.filter(project=project).select_related("project", "current", "created_by")
    if q:
        rows = rows.filter(name__icontains=q) | rows.filter(model_ref__icontains=q)
    if state:
        rows = rows.filter(state=state)
    return rows


def free_name(project: Project, wanted: str) -> str:
    """The wanted name, or with the first number behind it that no deployment of the project has."""
    taken = set(
        Deployment.objects.alive()
        .filter(project=project, name__startswith=wanted[:60])
        .values_list("name", flat=True)
    )
    numbered = (f"{wanted[:60]}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (wanted[:63], *numbered) if name not in taken)


@dataclass(frozen=True)
class ServedVersion:
    """A deployment that serves a model version now, for the registry's pages."""

    name: str
    url: str
    state: str


def deployments_of_version(model_version_id: UUID) -> list[ServedVersion]:
    """Deployments whose present revision is this model version."""
    rows = (
        Deployment.objects.alive()
        .filter(current__model_version_id=model_version_id)
        .select_related("project")
    )
    return [ServedVersion(d.name, f"/p/{d.project.slug}/deployments/{d.name}", d.state) for d in rows]


def classification(deployment: Deployment) -> bool:
    """Whether the model predicts classes."""
    return bool(signature_of(deployment).get("task") == "classification")


def imports_of(deployment: Deployment) -> list[EventImport]:
    """The newest imports of past events."""
    return list(deployment.imports.select_related("created_by")[:50])
