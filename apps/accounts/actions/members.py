"""Members of teams: their roles in the team and in single projects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import Q

from apps.accounts.access import Actor, check_role, role_in_team
from apps.accounts.actions.users import ONE_TIME, create_user, new_one_time_password
from apps.accounts.audit import record_audit
from apps.accounts.models import Membership, Project, ProjectRole, Team, User
from apps.accounts.states import PROJECT_ROLES, Role
from foundation.clock import now
from foundation.errors import Conflict, Forbidden, Invalid, NotFound


def lock_team(team: Team, actor: Actor) -> None:
    """Changes of a team's members wait for one another; the actor must (still) be an owner when it is its turn."""
    Team.objects.select_for_update().get(pk=team.pk)
    if not actor.is_system:
        check_role(role_in_team(actor, team.pk), Role.OWNER)


def check_team_role(role: object) -> Role:
    """One of the roles in a team. Raises Invalid "role.unknown"."""
    if role not in Role.values:
        raise Invalid(
            "role.unknown",
            f"'{str(role)[:40]}' is no role; choose from {', '.join(Role.values)}.",
            {"field": "role"},
        )
    return Role(str(role))


def check_project_roles(team: Team, roles: Mapping[Any, Any]) -> dict[Project, Role]:
    """Roles in single projects of the team, {slug: role}. Raises Invalid "role.unknown", NotFound for a project
    that is not the team's."""
    projects = {
        project.slug: project for project in Project.objects.alive().filter(team=team, slug__in=roles)
    }
    found: dict[Project, Role] = {}
    for slug, role in roles.items():
        if slug not in projects:
            raise NotFound(
                "project.not_found",
                f"The team has no project '{str(slug)[:60]}'.",
                {"field": "projects"},
            )
        if role not in PROJECT_ROLES:
            raise Invalid(
                "role.unknown",
                f"'{str(role)[:40]}' cannot be given in a project; choose from {', '.join(PROJECT_ROLES)}.",
                {"field": "projects"},
            )
        found[projects[slug]] = Role(role)
    return found


@transaction.atomic
def set_member(
    *,
    actor: Actor,
    team: Team,
    username: str,
    role: str,
    projects: Mapping[str, str] | None = None,
    check: Callable[[Membership | None], None] = lambda before: None,
) -> Membership:
    """Add a member or change a role. projects: {slug: role} in place of all roles in single projects; None leaves
    them. check: sees the membership as it stands behind the lock, and may refuse. Raises NotFound for an unknown
    user, Conflict when the last owner would go."""
    wanted = check_team_role(role)
    lock_team(team, actor)
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise NotFound("user.not_found", f"There is no account '{username[:60]}'.", {"field": "username"})
    check(Membership.objects.filter(team=team, user=user).first())
    return put_member(actor=actor, team=team, user=user, role=wanted, projects=projects)


def put_member(
    *,
    actor: Actor,
    team: Team,
    user: User,
    role: Role,
    projects: Mapping[str, str] | None = None,
    action: str = "member.set",
    detail: dict[str, Any] | None = None,
) -> Membership:
    """`set_member` for an account that is known, inside a transaction that holds the team's lock."""
    given = check_project_roles(team, projects or {})
    before = Membership.objects.filter(team=team, user=user).first()
    if before is not None and before.role == Role.OWNER and role is not Role.OWNER:
        keep_an_owner(team, without=user)
    member, _ = Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
    if projects is not None or role is Role.OWNER:
        kept = (
            Q() if role is Role.OWNER else Q(project__deleted_at=None)
        )  # what is in the trash may come back
        member.project_roles.filter(kept).delete()
        if role is not Role.OWNER:
            ProjectRole.objects.bulk_create(
                ProjectRole(membership=member, project=project, role=here) for project, here in given.items()
            )
    told: dict[str, Any] = {"role": role.value, "before": before.role if before else None, **(detail or {})}
    if projects is not None:
        told["projects"] = {project.slug: here.value for project, here in given.items()}
    record_audit(
        actor=actor,
        team=team,
        action=action,
        subject_kind="user",
        subject_id=user.pk,
        subject_title=user.username,
        detail=told,
    )
    return member


def keep_an_owner(team: Team, *, without: User) -> None:
    """Raises Conflict "team.last_owner" when no active owner would be left."""
    left = Membership.objects.filter(team=team, role=Role.OWNER, user__is_active=True).exclude(user=without)
    if not left.exists():
        raise Conflict("team.last_owner", "A team keeps at least one owner; make somebody else owner first.")


@transaction.atomic
def create_member(
    *,
    actor: Actor,
    team: Team,
    username: str,
    role: str,
    projects: Mapping[str, str] | None = None,
    name: str = "",
    email: str = "",
) -> tuple[Membership, str]:
    """A new account in the team with a one-time password, which is returned once and stored as a hash.

    Raises Conflict for a name in use, Invalid.
    """
    wanted = check_team_role(role)
    lock_team(team, actor)
    password = new_one_time_password()
    user = create_user(
        actor=actor, username=username, password=password, name=name, email=email, one_time=True, team=team
    )
    return put_member(actor=actor, team=team, user=user, role=wanted, projects=projects), password


@transaction.atomic
def renew_one_time_password(*, actor: Actor, team: Team, username: str) -> str:
    """Another one-time password for a member of this team only who has not yet chosen one of their own.

    Raises NotFound "member.not_found", Forbidden "member.has_password": nobody gets at an account in use.
    """
    lock_team(team, actor)
    member = Membership.objects.select_related("user").filter(team=team, user__username=username).first()
    if member is None:
        raise NotFound("member.not_found", f"'{username[:60]}' is not a member of {team.name}.")
    user = User.objects.select_for_update().get(pk=member.user_id)
    elsewhere = user.is_superuser or Membership.objects.filter(user=user).exclude(team=team).exists()
    if user.one_time_until is None or elsewhere:
        raise Forbidden(
            "member.has_password",
            "This account has a password of its own, which only its owner or staff change.",
        )
    password = new_one_time_password()
    user.set_password(password)
    user.one_time_until = now() + ONE_TIME
    user.save(update_fields=["password", "one_time_until"])
    record_audit(
        actor=actor,
        team=team,
        action="user.one_time_password",
        subject_kind="user",
        subject_id=user.pk,
        subject_title=user.username,
    )
    return password
