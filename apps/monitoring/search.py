"""What the search over everything finds of this app: monitors."""

from __future__ import annotations

from apps.monitoring.models import Monitor
from foundation.search import Hit, Needle, Scope, Source, best_rows


def find_monitors(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Monitors by name or description."""
    rows = Monitor.objects.alive().select_related("project", "deployment", "dataset")
    found = best_rows(rows, scope, needle, limit=limit, also=("description",))
    return [
        scope.hit("monitor", row, row.get_absolute_url(), note=f"watches {row.subject_name}") for row in found
    ]


SOURCES = (Source("monitor", "Monitors", "monitor", find_monitors, order=70),)
