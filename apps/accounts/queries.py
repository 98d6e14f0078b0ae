"""Reads that span users, teams, projects and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from apps.accounts.access import (
    Actor,
    check_role,
    get_visible_team,
    require_user,
    role_in_team,
)
from apps.accounts.models import ApiToken, AuditEvent, Membership, Project, Team, User
from apps.accounts.states import Role


def describe_actor(actor: Actor) -> dict[str, Any]:
    """The answer of /api/v1/me."""
    user = require_user(actor)
    members = Membership.objects.filter(user=user).select_related("team").order_by("team__slug")
    project = (
        Project.objects.filter(pk=actor.project_id).values_list("slug", flat=True).first()
        if actor.project_id
        else None
    )
    return {
        "username": user.username,
        "email": user.email,
        "is_admin": user.is_superuser,
        "scope": actor.scope,
        "project": project,
        "teams": [{"slug": m.team.slug, "name": m.team.name, "role": m.role} for m in members],
    }


def search(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Projects or teams whose slug or name contains the text."""
    text = text.strip().replace("\x00", "")
    return rows.filter(Q(slug__icontains=text) | Q(name__icontains=text)) if text else rows


def own_tokens(user: User) -> QuerySet[ApiToken]:
    """A person's own tokens, newest first, without those of jobs."""
    return (
        ApiToken.objects.filter(user=user, job_id__isnull=True)
        .select_related("project", "user")
        .order_by("-created_at")
    )


def team_tokens(actor: Actor, team: Team) -> QuerySet[ApiToken]:
    """What the actor sees of a team's tokens: the own ones; for an owner those of every member that reach the team."""
    user = require_user(actor)
    tokens = ApiToken.objects.filter(job_id__isnull=True).select_related("project", "user")
    reach = Q(project__isnull=True) | Q(project__team=team)
    if role_in_team(actor, team.pk) is Role.OWNER:
        return tokens.filter(reach, user__memberships__team=team)
    return tokens.filter(reach, user=user)


def auditable_team(actor: Actor, slug: str) -> Team:
    """A team whose audit trail the actor may read: maintainers and owners."""
    team = get_visible_team(actor, slug)
    check_role(role_in_team(actor, team.pk), Role.MAINTAINER)
    return team


def audit_of_team(team: Team, filters: Mapping[str, str]) -> QuerySet[AuditEvent]:
    """Audit rows of a team, filtered by ?project=, ?action=, ?actor=, ?q= (title)."""
    found = AuditEvent.objects.filter(team=team).select_related("project")
    if filters.get("project"):
        found = found.filter(project__slug=filters["project"])
    if filters.get("action"):
        found = found.filter(action__startswith=filters["action"])
    if filters.get("actor"):
        found = found.filter(actor_label=filters["actor"])
    if filters.get("q"):
        found = found.filter(subject_title__icontains=filters["q"].replace("\x00", ""))
    return found


def members_of(team: Team) -> QuerySet[Membership]:
    """Members with their users, strongest role last name first."""
    return team.memberships.select_related("user").order_by("user__username")
