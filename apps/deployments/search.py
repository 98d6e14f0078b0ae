"""What the search over everything finds of this app: deployments."""

from __future__ import annotations

from apps.deployments.actions import page_path
from apps.deployments.models import Deployment
from foundation.search import Hit, Needle, Scope, Source, best_rows


def find_deployments(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Deployments by name, description or the model they serve."""
    rows = Deployment.objects.alive().select_related("project")
    found = best_rows(rows, scope, needle, limit=limit, also=("description", "model_ref"))
    return [
        scope.hit("deployment", row, page_path(row), note=row.model_ref, state=row.state) for row in found
    ]


SOURCES = (Source("deployment", "Deployments", "deployment", find_deployments, order=60),)
