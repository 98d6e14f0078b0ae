"""What the first page of a team shows, and who is who in its projects."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import OuterRef, Subquery

from apps.accounts.models import AuditEvent, Membership, Project, ProjectRole, Team
from apps.accounts.states import Role
from apps.accounts.usage import Allowance, ProjectUsage, Usage, Work, allowances_of, usage_of, work_in


@dataclass(frozen=True)
class Line:
    """A project with what it uses. share: its part of the team's bytes; last: when something was last changed."""

    usage: ProjectUsage
    share: float
    running: int
    last: datetime.datetime | None

    @property
    def project(self) -> Project:
        """Whose line it is."""
        return self.usage.project


@dataclass(frozen=True)
class Overview:
    """Everything on the page."""

    members: int
    work: Work
    usage: Usage
    lines: list[Line]
    allowances: list[Allowance]


def overview_of(team: Team, projects: Sequence[Project]) -> Overview:
    """The overview of a team over those of its projects that the reader may see."""
    work, usage = work_in(projects), usage_of(team, projects)
    newest = AuditEvent.objects.filter(project=OuterRef("pk")).order_by("-at").values("at")[:1]
    stamped = Project.objects.filter(pk__in=[project.pk for project in projects]).annotate(
        last=Subquery(newest)
    )
    last = dict(stamped.values_list("pk", "last"))
    lines = [
        Line(
            usage=row,
            share=row.kept / usage.kept if usage.kept else 0.0,
            running=work.by_project.get(row.project.pk, 0),
            last=last.get(row.project.pk),
        )
        for row in usage.rows
    ]
    return Overview(team.memberships.count(), work, usage, lines, allowances_of(team))


def people_by_project(team: Team, projects: Iterable[Project]) -> dict[UUID, list[tuple[str, int]]]:
    """How many of each role a project has: {project id: [("Owner", 1), …]}, strongest first. Three queries."""
    members = list(Membership.objects.filter(team=team, user__is_active=True).values_list("pk", "role"))
    given: dict[UUID, dict[UUID, str]] = {}
    rows = ProjectRole.objects.filter(project__in=[project.pk for project in projects])
    for project_id, member, role in rows.values_list("project", "membership", "role"):
        given.setdefault(project_id, {})[member] = role
    found = {}
    for project in projects:
        here = given.get(project.pk, {})
        counts = Counter(
            Role(role if role == Role.OWNER else here.get(member, role)) for member, role in members
        )
        found[project.pk] = [
            (role.label, counts[role]) for role in reversed(Role) if role is not Role.MEMBER and counts[role]
        ]
    return found
