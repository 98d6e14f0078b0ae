"""What the search over everything finds of this app: jobs by title or id."""

from __future__ import annotations

from django.urls import reverse

from apps.jobs.models import Job
from foundation.search import Hit, Needle, Scope, Source, best_rows


def find_jobs(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Jobs; the index `jobs_to_search` holds all that is compared."""
    return [
        scope.hit(
            "job",
            row,
            reverse("jobs:detail", args=[scope.projects[row.project_id].slug, row.pk]),
            title=row.title,
            note=row.kind,
            state=row.state,
        )
        for row in best_rows(Job.objects.all(), scope, needle, limit=limit, name="title")
    ]


SOURCES = (Source("job", "Jobs", "job", find_jobs, order=80),)
