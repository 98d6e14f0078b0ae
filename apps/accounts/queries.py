"""Reads that span users, teams, projects and tokens."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Case, F, OuterRef, Prefetch, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce

from apps.accounts.access import Actor, check_role, require_user, role_in_team
from apps.accounts.models import ApiToken, Invitation, Membership, Project, ProjectRole, Team, User
from apps.accounts.states import Role
from foundation.clock import now
from foundation.errors import NotFound


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
        "name": user.get_full_name(),
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
    """What the actor sees of a team's tokens: the own ones; for maintainers and owners those of every member that
    reach the team."""
    user = require_user(actor)
    tokens = ApiToken.objects.filter(job_id__isnull=True).select_related("project", "user")
    reach = Q(project__isnull=True) | Q(project__team=team)
    role = role_in_team(actor, team.pk)
    if role is not None and role.rank >= Role.MAINTAINER.rank:
        return tokens.filter(reach, user__memberships__team=team)
    return tokens.filter(reach, user=user)


def get_team_token(actor: Actor, team: Team, token_id: UUID | str) -> ApiToken:
    """One of them. Raises NotFound "token.not_found"."""
    try:
        token = team_tokens(actor, team).filter(pk=token_id).first()
    except ValidationError:
        token = None
    if token is None:
        raise NotFound("token.not_found", "There is no such token, or it is not yours.")
    return token


def members_of(team: Team) -> QuerySet[Membership]:
    """Members with their users and their roles in single projects."""
    return team.memberships.select_related("user").prefetch_related(
        Prefetch(
            "project_roles", ProjectRole.objects.filter(project__deleted_at=None).select_related("project")
        )
    )


def get_member(team: Team, username: str) -> Membership:
    """A member by the account's name. Raises NotFound "member.not_found"."""
    member = members_of(team).filter(user__username=username).first()
    if member is None:
        raise NotFound("member.not_found", f"'{username[:60]}' is not a member of {team.name}.")
    return member


def roles_by_project(member: Membership) -> dict[str, str]:
    """{slug: role} of what was given in single projects."""
    rows = [row for row in member.project_roles.all() if row.project.deleted_at is None]
    return {row.project.slug: row.role for row in sorted(rows, key=lambda row: row.project.slug)}


def people_of(project: Project, *, role: Role) -> QuerySet[User]:
    """Active members whose role in the project is at least that one, superusers aside."""
    here = ProjectRole.objects.filter(membership=OuterRef("pk"), project=project).values("role")[:1]
    strong = [known.value for known in Role if known.rank >= max(role.rank, Role.VIEWER.rank)]
    members = Membership.objects.filter(team_id=project.team_id).annotate(
        effective=Case(When(role=Role.OWNER, then=F("role")), default=Coalesce(Subquery(here), F("role")))
    )
    return User.objects.filter(pk__in=members.filter(effective__in=strong).values("user"), is_active=True)


def invitations_of(team: Team) -> QuerySet[Invitation]:
    """A team's invitations with who made and who used them, newest first."""
    return team.invitations.select_related("invited_by", "accepted_by").order_by("-created_at")


def open_invitations_of(team: Team) -> QuerySet[Invitation]:
    """Those that somebody may still use, and those that expired unused in the last month."""
    month = now() - datetime.timedelta(days=30)
    found = invitations_of(team).filter(accepted_at__isnull=True, revoked_at__isnull=True)
    return found.filter(expires_at__gt=month)


def check_may_remove(actor: Actor, team: Team, member: Membership) -> None:
    """Owners remove members; everybody may leave. Raises Forbidden."""
    if actor.user != member.user:
        check_role(role_in_team(actor, team.pk), Role.OWNER)


def get_invitation(team: Team, invitation_id: UUID | str) -> Invitation:
    """One of them. Raises NotFound "invitation.not_found"."""
    found = team.invitations.select_related("team", "invited_by").filter(pk=invitation_id).first()
    if found is None:
        raise NotFound("invitation.not_found", "The team has no such invitation.")
    return found


def alive_projects(team: Team) -> dict[str, Project]:
    """The projects of a team, by their ids as text."""
    return {str(project.pk): project for project in Project.objects.alive().filter(team=team)}


def invited_projects(invitations: Iterable[Invitation]) -> dict[str, Project]:
    """The projects that invitations name, by their ids as text."""
    keys = {key for invitation in invitations for key in invitation.projects}
    return (
        {str(project.pk): project for project in Project.objects.alive().filter(pk__in=keys)} if keys else {}
    )


def check_team_of(project: Project, team: Team) -> None:
    """Raises NotFound when the project is another team's."""
    if project.team_id != team.pk:
        raise NotFound("project.not_found", f"The team has no project '{project.slug}'.")


def token_matches(text: str) -> Q:
    """Tokens whose name, owner or first letters contain the text."""
    return Q(name__icontains=text) | Q(user__username__icontains=text) | Q(prefix__istartswith=text)


def token_is_live() -> Q:
    """Tokens that still open something."""
    return Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=now()))


def actions_of(team: Team) -> list[str]:
    """The kinds of actions in a team's trail, for its filter: dataset, member, run. By loose index scan, since a
    trail may be long."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOSE.format(column="action"), [team.pk, team.pk])
        words = [row[0] for row in cursor.fetchall()]
    return sorted({word.partition(".")[0] for word in words if word})


def actors_of(team: Team) -> list[str]:
    """Who stands in a team's trail, jobs counted with who submitted them."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOSE.format(column="actor_label"), [team.pk, team.pk])
        words = [row[0] for row in cursor.fetchall()]
    return sorted({word.removesuffix(" (job)") for word in words if word})


_LOOSE = """
WITH RECURSIVE found AS (
    (SELECT min({column}) AS word FROM accounts_auditevent WHERE team_id = %s)
    UNION ALL
    SELECT (SELECT min({column}) FROM accounts_auditevent WHERE team_id = %s AND {column} > found.word)
    FROM found WHERE found.word IS NOT NULL
)
SELECT word FROM found WHERE word IS NOT NULL LIMIT 500
"""
