"""What the search over everything finds of this app: models, and versions by churn/3."""

from __future__ import annotations

from apps.registry.models import Model, ModelVersion
from foundation.search import Hit, Needle, Scope, Source, best_rows


def find_models(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Models by name or description; "churn/3" finds that version."""
    name, slash, number = needle.text.rpartition("/")
    if slash and number.isascii() and number.isdigit() and len(number) < 10:
        return _versions(scope, name, int(number), limit)
    rows = Model.objects.alive().select_related("project")
    found = best_rows(rows, scope, needle, limit=limit, also=("description",), newest="-updated_at")
    return [scope.hit("model", row, row.url, note=row.description) for row in found]


def _versions(scope: Scope, name: str, number: int, limit: int) -> list[Hit]:
    rows = ModelVersion.objects.alive().filter(
        project__in=list(scope.projects), model__deleted_at=None, number=number
    )
    found = rows.filter(model__name__istartswith=name).select_related("model", "project")
    return [
        scope.hit("model", row, row.url, title=row.label, state=row.state)
        for row in found.order_by("model__name")[:limit]
    ]


SOURCES = (Source("model", "Models", "model", find_models, order=50),)
