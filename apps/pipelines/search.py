"""What the search over everything finds of this app: pipelines, and a run by "nightly #7"."""

from __future__ import annotations

import re

from apps.pipelines.models import Pipeline, PipelineRun
from foundation.search import Hit, Needle, Scope, Source, best_rows

_RUN = re.compile(r"(.+?) ?#(\d{1,9})")


def find_pipelines(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Pipelines by name or description; "nightly #7" finds that run."""
    asked = _RUN.fullmatch(needle.text)
    if asked:
        return _runs(scope, asked.group(1), int(asked.group(2)), limit)
    rows = Pipeline.objects.alive().select_related("project")
    found = best_rows(rows, scope, needle, limit=limit, also=("description",))
    return [scope.hit("pipeline", row, row.get_absolute_url(), note=row.description) for row in found]


def _runs(scope: Scope, name: str, number: int, limit: int) -> list[Hit]:
    rows = PipelineRun.objects.filter(
        project__in=list(scope.projects), pipeline__deleted_at=None, number=number
    )
    found = rows.filter(pipeline__name__istartswith=name).select_related("pipeline__project")
    return [
        scope.hit("pipeline", row, row.get_absolute_url(), title=row.label, state=row.state)
        for row in found.order_by("pipeline__name")[:limit]
    ]


SOURCES = (Source("pipeline", "Pipelines", "pipeline", find_pipelines, order=75),)
