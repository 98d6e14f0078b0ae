"""What the search over everything finds of this app: projects, and the teams one belongs to."""

from __future__ import annotations

from django.urls import reverse

from apps.accounts.models import Project, Team
from foundation.search import Hit, Needle, Scope, Source, best_rows


def find_projects(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Projects by name, slug or description."""
    rows = Project.objects.alive().select_related("team")
    found = best_rows(
        rows, scope, needle, limit=limit, also=("slug", "description"), newest="-updated_at", project="pk"
    )
    return [
        Hit("project", str(row.pk), row.name, f"/p/{row.slug}/", row.slug, row.name, row.team.name)
        for row in found
    ]


def find_teams(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Teams of the person who asks."""
    rows = Team.objects.filter(pk__in=scope.teams).filter(needle.in_fields("name", "slug", "description"))
    return [
        Hit("team", str(row.pk), row.name, reverse("accounts:team", args=[row.slug]), note=row.slug)
        for row in rows.order_by("name")[:limit]
    ]


SOURCES = (
    Source("project", "Projects", "folder", find_projects, order=10),
    Source("team", "Teams", "team", find_teams, order=90),
)
