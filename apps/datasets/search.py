"""What the search over everything finds of this app: datasets, and versions by churn@2."""

from __future__ import annotations

from django.urls import reverse

from apps.datasets.models import Dataset, DatasetVersion
from foundation.search import Hit, Needle, Scope, Source, best_rows


def find_datasets(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Datasets by name or description; "churn@2" finds that version."""
    name, at, number = needle.text.partition("@")
    if at and number.isascii() and number.isdigit() and len(number) < 10:
        return _versions(scope, name, int(number), limit)
    found = best_rows(
        Dataset.objects.alive(), scope, needle, limit=limit, also=("description",), newest="-updated_at"
    )
    return [scope.hit("dataset", row, _url(scope, row, row.name), note=row.description) for row in found]


def _versions(scope: Scope, name: str, number: int, limit: int) -> list[Hit]:
    rows = DatasetVersion.objects.alive().filter(
        project__in=list(scope.projects), dataset__deleted_at=None, number=number
    )
    found = rows.filter(dataset__name__istartswith=name).select_related("dataset")
    return [
        scope.hit(
            "dataset", row, _url(scope, row, row.dataset.name, number), title=row.label, state=row.state
        )
        for row in found.order_by("dataset__name")[:limit]
    ]


def _url(scope: Scope, row: Dataset | DatasetVersion, name: str, number: int | None = None) -> str:
    slug = scope.projects[row.project_id].slug
    if number is None:
        return reverse("datasets:detail", args=[slug, name])
    return reverse("datasets:version", args=[slug, name, number])


SOURCES = (Source("dataset", "Datasets", "dataset", find_datasets, order=20),)
