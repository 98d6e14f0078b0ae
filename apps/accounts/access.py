"""Who may see and change what. Objects reach a request only through these functions.

Not yours = NotFound (404), visible but not allowed = Forbidden (403), nobody = Unauthenticated (401).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery

from apps.accounts.models import Membership, Project, ProjectRole, Team, User
from apps.accounts.states import Role, Scope
from foundation.errors import Forbidden, NotFound, Unauthenticated


@dataclass(frozen=True)
class Actor:
    """Who acts, and with what limits: a session, a personal token, a job's token, or the studio itself."""

    user: User | None = None
    scope: str = Scope.WRITE
    project_id: UUID | None = None
    token_id: UUID | None = None
    job_id: UUID | None = None
    fence: int | None = None
    request_id: str = ""
    address: str = ""
    is_system: bool = False

    @property
    def is_authenticated(self) -> bool:
        """Whether anybody is there."""
        return self.is_system or self.user is not None

    @property
    def label(self) -> str:
        """The name that audit rows show."""
        if self.user is None:
            return "Atelier" if self.is_system else "anonymous"
        return f"{self.user.username} (job)" if self.job_id else self.user.username


ANONYMOUS = Actor()
SYSTEM = Actor(is_system=True)


def actor_for(user: User) -> Actor:
    """The actor of a signed-in user, without a request."""
    return Actor(user=user)


def require_user(actor: Actor) -> User:
    """The actor's user. Raises Unauthenticated when there is none."""
    if actor.user is None:
        raise Unauthenticated("auth.required", "Sign in or send a token in the Authorization header.")
    return actor.user


def require_write(actor: Actor) -> None:
    """Raises Forbidden "token.read_only" when the token may only read."""
    if actor.scope != Scope.WRITE:
        raise Forbidden("token.read_only", "This token may only read; make one with the scope 'write'.")


def role_in_team(actor: Actor, team_id: UUID) -> Role | None:
    """The actor's role in a team, or None for a stranger. Superusers count as owners."""
    if actor.user is None:
        return None
    if actor.user.is_superuser:
        return Role.OWNER
    role = Membership.objects.filter(team_id=team_id, user=actor.user).values_list("role", flat=True).first()
    return Role(role) if role else None


def role_in_project(actor: Actor, project: Project) -> Role | None:
    """The actor's role in a project, or None for a stranger. A job never acts above contributor, and a
    token bound to one project has no role in any other."""
    if actor.is_system:
        return Role.OWNER
    if actor.project_id is not None and actor.project_id != project.pk:
        return None
    role = _role_of(actor.user, project)
    if role is not None and actor.job_id is not None and role.rank > Role.CONTRIBUTOR.rank:
        return Role.CONTRIBUTOR
    return role


def _role_of(user: User | None, project: Project) -> Role | None:
    """The role given in the project, else the one in the team; owners and superusers are owners everywhere, and
    a plain member without a role in the project is none of its people. One query."""
    if user is None:
        return None
    if user.is_superuser:
        return Role.OWNER
    here = ProjectRole.objects.filter(membership=OuterRef("pk"), project=project).values("role")[:1]
    members = Membership.objects.filter(team_id=project.team_id, user=user)
    found = members.annotate(here=Subquery(here)).values_list("role", "here").first()
    if found is None:
        return None
    role = Role.OWNER if found[0] == Role.OWNER else Role(found[1] or found[0])
    return role if role is not Role.MEMBER else None


def check_role(role: Role | None, needed: Role) -> None:
    """Raises Forbidden "role.too_small" when the role does not include the needed one."""
    if role is None or role.rank < needed.rank:
        raise Forbidden(
            "role.too_small",
            f"This needs the role {needed.label.lower()}; yours is {role.label.lower() if role else 'none'}. "
            "An owner of the team can change it.",
            {"needed": needed.value, "role": role.value if role else None},
        )


def get_visible_project(actor: Actor, slug: str) -> Project:
    """The project for reading. Raises Unauthenticated, NotFound."""
    if not actor.is_authenticated:
        raise Unauthenticated("auth.required", "Sign in or send a token in the Authorization header.")
    project: Project | None = Project.objects.alive().select_related("team").filter(slug=slug).first()
    if project is None:
        raise NotFound("project.not_found", f"There is no project '{slug[:60]}', or it is not yours.")
    if role_in_project(actor, project) is None:
        raise NotFound("project.not_found", f"There is no project '{slug[:60]}', or it is not yours.")
    return project


def get_editable_project(actor: Actor, slug: str, *, role: Role = Role.CONTRIBUTOR) -> Project:
    """The project for changing something in it. Raises also Forbidden."""
    project = get_visible_project(actor, slug)
    require_write(actor)
    check_role(role_in_project(actor, project), role)
    return project


def get_trashed_project(actor: Actor, slug: str) -> Project:
    """A project in the trash, for its team's owners."""
    project: Project | None = Project.objects.trashed().select_related("team").filter(slug=slug).first()
    if project is None or role_in_project(actor, project) is None:
        raise NotFound(
            "project.not_found", f"There is no project '{slug[:60]}' in the trash, or it is not yours."
        )
    require_write(actor)
    check_role(role_in_project(actor, project), Role.OWNER)
    return project


def get_visible_team(actor: Actor, slug: str) -> Team:
    """The team for reading. Raises Unauthenticated, NotFound. A token bound to a project sees no team."""
    require_user(actor)
    team = Team.objects.filter(slug=slug).first()
    if team is None or actor.project_id is not None or role_in_team(actor, team.pk) is None:
        raise NotFound("team.not_found", f"There is no team '{slug[:60]}', or it is not yours.")
    return team


def get_team_for(actor: Actor, slug: str, *, role: Role) -> Team:
    """The team for reading what only that role may read. Raises also Forbidden."""
    team = get_visible_team(actor, slug)
    check_role(role_in_team(actor, team.pk), role)
    return team


def get_editable_team(actor: Actor, slug: str, *, role: Role = Role.OWNER) -> Team:
    """The team for changing it. Raises also Forbidden."""
    team = get_visible_team(actor, slug)
    require_write(actor)
    check_role(role_in_team(actor, team.pk), role)
    return team


def visible_projects(actor: Actor) -> Any:
    """Projects the actor may read, as a queryset."""
    if actor.is_system:
        return Project.objects.alive()
    if actor.user is None:
        return Project.objects.none()
    found = Project.objects.alive().of_user(actor.user)
    return found.filter(pk=actor.project_id) if actor.project_id else found


def trashed_projects(actor: Actor) -> Any:
    """Projects in the trash that the actor may restore: those of the teams that are the actor's own."""
    if actor.user is None:
        return Project.objects.none()
    found = Project.objects.trashed().of_user(actor.user)
    if not actor.user.is_superuser:
        found = found.filter(team__memberships__user=actor.user, team__memberships__role=Role.OWNER)
    return found.filter(pk=actor.project_id) if actor.project_id else found


def visible_teams(actor: Actor) -> Any:
    """Teams the actor belongs to (all for a superuser), as a queryset."""
    if actor.user is None or actor.project_id is not None:
        return Team.objects.none()
    return (
        Team.objects.all() if actor.user.is_superuser else Team.objects.filter(memberships__user=actor.user)
    )
