"""What the search over everything finds of this app: environments."""

from __future__ import annotations

from apps.environments.models import Environment
from apps.environments.queries import first_lines
from foundation.search import Hit, Needle, Scope, Source, best_rows


def find_environments(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Environments by name, description or requirements."""
    rows = Environment.objects.alive().select_related("project").defer("lock", "packages")
    found = best_rows(rows, scope, needle, limit=limit, also=("description", "requirements"))
    return [
        scope.hit("environment", row, row.get_absolute_url(), note=first_lines(row.requirements))
        for row in found
    ]


SOURCES = (Source("environment", "Environments", "environment", find_environments, order=75),)
