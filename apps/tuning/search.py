"""What the search over everything finds of this app: studies."""

from __future__ import annotations

from django.urls import reverse

from apps.tuning.models import Study
from foundation.search import Hit, Needle, Scope, Source, best_rows


def find_studies(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Studies by name, description or algorithm."""
    rows = best_rows(Study.objects.alive(), scope, needle, limit=limit, also=("description", "algorithm"))
    return [
        scope.hit(
            "study",
            row,
            reverse("tuning:detail", args=[scope.projects[row.project_id].slug, row.name]),
            note=row.description or row.algorithm.replace("_", " "),
            state=row.state,
        )
        for row in rows
    ]


SOURCES = (Source("study", "Studies", "study", find_studies, order=40),)
