"""Writes: users, teams, members, projects, tokens, sign-in limits. Each is atomic and leaves an audit row."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from apps.accounts import events, tokens
from apps.accounts.access import Actor, require_user, role_in_project, role_in_team
from apps.accounts.audit import record_audit
from apps.accounts.models import ApiToken, LoginFailure, Membership, Project, Team, User
from apps.accounts.states import Role, Scope
from foundation.clock import now
from foundation.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from foundation.events import publish
from foundation.names import check_name, check_slug, check_text

__all__ = ["record_audit"]

MAX_TOKEN_DAYS = 3650
LOGIN_WINDOW = datetime.timedelta(minutes=15)
LOGIN_LIMIT_NAME = 10
LOGIN_LIMIT_ADDRESS = 100


@transaction.atomic
def create_user(
    *,
    actor: Actor,
    username: str,
    password: str | None,
    email: str = "",
    is_superuser: bool = False,
    is_service: bool = False,
) -> User:
    """A new account. Raises Invalid for a bad name or weak password, Conflict for a name in use."""
    check_name(username, field="username")
    if User.objects.filter(username__iexact=username).exists():
        raise Conflict("user.exists", f"There is already an account '{username}'.")
    user = User(
        username=username,
        email=email,
        is_staff=is_superuser,
        is_superuser=is_superuser,
        is_service=is_service,
    )
    if password is None or is_service:
        user.set_unusable_password()
    else:
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise Invalid("user.password", " ".join(error.messages), {"field": "password"}) from error
        user.set_password(password)
    user.save()
    record_audit(
        actor=actor, action="user.create", subject_kind="user", subject_id=user.pk, subject_title=username
    )
    return user


@transaction.atomic
def create_team(*, actor: Actor, slug: str, name: str, description: str = "") -> Team:
    """A new team whose maker is its owner. Raises Conflict when the slug is taken."""
    user = require_user(actor)
    check_slug(slug)
    if Team.objects.filter(slug=slug).exists():
        raise Conflict("team.exists", f"There is already a team '{slug}'.")
    team = Team.objects.create(
        slug=slug, name=_title(name or slug), description=check_text(description, field="description")
    )
    Membership.objects.create(team=team, user=user, role=Role.OWNER)
    record_audit(
        actor=actor,
        team=team,
        action="team.create",
        subject_kind="team",
        subject_id=team.pk,
        subject_title=slug,
    )
    return team


@transaction.atomic
def update_team(*, actor: Actor, team: Team, name: str | None = None, description: str | None = None) -> Team:
    """Rename or describe; what is None stays, and the slug never changes. Raises Invalid."""
    changed: dict[str, Any] = {}
    if name is not None:
        changed["name"] = _title(name)
    if description is not None:
        changed["description"] = check_text(description, field="description")
    for key, value in changed.items():
        setattr(team, key, value)
    team.save()
    record_audit(
        actor=actor,
        team=team,
        action="team.update",
        subject_kind="team",
        subject_id=team.pk,
        subject_title=team.slug,
        detail=changed,
    )
    return team


@transaction.atomic
def set_member(*, actor: Actor, team: Team, username: str, role: str) -> Membership:
    """Add a member or change a role. Raises NotFound for an unknown user, Conflict when the last owner would go."""
    if role not in Role.values:
        raise Invalid(
            "role.unknown",
            f"'{str(role)[:40]}' is no role; choose from {', '.join(Role.values)}.",
            {"field": "role"},
        )
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise NotFound("user.not_found", f"There is no account '{username[:60]}'.")
    Team.objects.select_for_update().get(pk=team.pk)
    before = Membership.objects.filter(team=team, user=user).first()
    if before is not None and before.role == Role.OWNER and role != Role.OWNER:
        _keep_an_owner(team, without=user)
    member, _ = Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
    record_audit(
        actor=actor,
        team=team,
        action="member.set",
        subject_kind="user",
        subject_id=user.pk,
        subject_title=username,
        detail={"role": role, "before": before.role if before else None},
    )
    return member


@transaction.atomic
def remove_member(*, actor: Actor, team: Team, username: str) -> None:
    """Take a member out of the team. Raises NotFound, Conflict for the last owner."""
    Team.objects.select_for_update().get(pk=team.pk)
    member = Membership.objects.select_related("user").filter(team=team, user__username=username).first()
    if member is None:
        raise NotFound("member.not_found", f"'{username[:60]}' is not a member of {team.name}.")
    if member.role == Role.OWNER:
        _keep_an_owner(team, without=member.user)
    user = member.user
    member.delete()
    record_audit(
        actor=actor,
        team=team,
        action="member.remove",
        subject_kind="user",
        subject_id=user.pk,
        subject_title=username,
    )
    publish(events.MemberRemoved(team_id=team.pk, user_id=user.pk))


def _keep_an_owner(team: Team, *, without: User) -> None:
    if not Membership.objects.filter(team=team, role=Role.OWNER).exclude(user=without).exists():
        raise Conflict("team.last_owner", "A team keeps at least one owner; make somebody else owner first.")


def _title(text: str) -> str:
    text = check_text(text, field="name", limit=80).strip()
    if not text:
        raise Invalid("name.invalid", "The name is missing.", {"field": "name"})
    return text


def check_timezone(text: str) -> str:
    """The IANA zone's name itself. Raises Invalid "timezone.unknown"."""
    if text not in zoneinfo.available_timezones():
        raise Invalid(
            "timezone.unknown",
            f"'{str(text)[:60]}' is no time zone; use a name such as Europe/Berlin.",
            {"field": "timezone"},
        )
    return text


@transaction.atomic
def create_project(
    *,
    actor: Actor,
    slug: str,
    name: str = "",
    team: Team | None = None,
    description: str = "",
    timezone: str = "UTC",
) -> Project:
    """A new project in a team (default: the actor's only team) with its tracking workspace.

    Raises Conflict for a slug that is or was in use, Forbidden below maintainer, Invalid for bad values.
    """
    user = require_user(actor)
    if actor.project_id is not None:
        raise Forbidden("token.bound", "A token bound to a project cannot make another project.")
    check_slug(slug)
    if team is None:
        team = _only_team(user)
    role = role_in_team(actor, team.pk)
    if role is None or role.rank < Role.MAINTAINER.rank:
        raise Forbidden("role.too_small", "Projects are made by maintainers and owners of the team.")
    if Project.objects.filter(slug=slug).exists():
        raise Conflict(
            "project.exists", f"The slug '{slug}' is or was in use; slugs are never given out twice."
        )
    try:
        with transaction.atomic():
            project = Project.objects.create(
                team=team,
                slug=slug,
                name=_title(name or slug),
                created_by=user,
                description=check_text(description, field="description"),
                timezone=check_timezone(timezone),
            )
    except IntegrityError as error:
        raise Conflict("project.exists", f"The slug '{slug}' is or was in use.") from error
    from adapters.tracking import get_tracking

    get_tracking().ensure_project(project.pk)
    record_audit(
        actor=actor,
        project=project,
        action="project.create",
        subject_kind="project",
        subject_id=project.pk,
        subject_title=slug,
    )
    publish(events.ProjectCreated(project_id=project.pk))
    return project


def _only_team(user: User) -> Team:
    teams = list(Team.objects.filter(memberships__user=user)[:2])
    if not teams:
        raise Invalid(
            "team.missing", "You belong to no team yet; an owner can add you to one.", {"field": "team"}
        )
    if len(teams) > 1:
        raise Invalid(
            "team.missing", "You belong to several teams; say which one owns the project.", {"field": "team"}
        )
    return teams[0]


@transaction.atomic
def update_project(
    *,
    actor: Actor,
    project: Project,
    name: str | None = None,
    description: str | None = None,
    timezone: str | None = None,
    own_code: bool | None = None,
) -> Project:
    """Rename, describe, move to another time zone, allow or forbid own scripts; what is None stays. Raises
    Invalid. What may run code gets an audit row of its own."""
    changed: dict[str, Any] = {}
    if name is not None:
        changed["name"] = _title(name)
    if description is not None:
        changed["description"] = check_text(description, field="description")
    if timezone is not None:
        changed["timezone"] = check_timezone(timezone)
    for key, value in changed.items():
        setattr(project, key, value)
    switched = own_code is not None and own_code != project.own_code
    project.own_code = project.own_code if own_code is None else own_code
    project.save()
    rows = [("project.update", changed)] if changed or not switched else []
    if switched:
        rows.append(("project.allow_scripts" if own_code else "project.forbid_scripts", {}))
    for action, detail in rows:
        record_audit(
            actor=actor,
            project=project,
            action=action,
            subject_kind="project",
            subject_id=project.pk,
            subject_title=project.slug,
            detail=detail,
        )
    return project


@transaction.atomic
def trash_project(*, actor: Actor, project: Project) -> None:
    """Move a project to the trash: it disappears everywhere and can be restored by an owner."""
    Project.objects.filter(pk=project.pk, deleted_at__isnull=True).update(deleted_at=now())
    record_audit(
        actor=actor,
        project=project,
        action="project.trash",
        subject_kind="project",
        subject_id=project.pk,
        subject_title=project.slug,
    )
    publish(events.ProjectTrashed(project_id=project.pk))


@transaction.atomic
def restore_project(*, actor: Actor, project: Project) -> Project:
    """Take a project out of the trash."""
    Project.objects.filter(pk=project.pk).update(deleted_at=None)
    record_audit(
        actor=actor,
        project=project,
        action="project.restore",
        subject_kind="project",
        subject_id=project.pk,
        subject_title=project.slug,
    )
    project.refresh_from_db()
    return project


@transaction.atomic
def create_token(
    *,
    actor: Actor,
    user: User,
    name: str,
    scope: str = Scope.WRITE,
    project: Project | None = None,
    days: int | None = None,
) -> tuple[ApiToken, str]:
    """A personal token and its secret (shown once). `days` until it expires, None = never; a token that another
    token makes does not outlive its maker.

    Raises Invalid for a bad scope or lifetime, Forbidden when a read-only or bound token tries to widen itself.
    """
    if scope not in Scope.values:
        raise Invalid("token.scope", "The scope is 'read' or 'write'.", {"field": "scope"})
    if days is not None and not 1 <= days <= MAX_TOKEN_DAYS:
        raise Invalid(
            "token.days", f"A token lives 1 to {MAX_TOKEN_DAYS} days, or for ever.", {"field": "days"}
        )
    if actor.token_id is not None and (actor.job_id is not None or actor.project_id is not None):
        raise Forbidden("token.bound", "A token bound to a project or a job cannot make tokens.")
    if project is not None and role_in_project(Actor(user=user), project) is None:
        raise NotFound("project.not_found", "There is no such project, or it is not theirs.")
    name = check_text(name, field="name", limit=80).strip()
    if not name:
        raise Invalid("name.invalid", "The token needs a name that says what it is for.", {"field": "name"})
    expires = now() + datetime.timedelta(days=days) if days is not None else None
    maker = ApiToken.objects.filter(pk=actor.token_id).first() if actor.token_id is not None else None
    if maker is not None and maker.expires_at is not None:
        expires = min(expires or maker.expires_at, maker.expires_at)
    token, secret = tokens.store_token(user=user, name=name, scope=scope, project=project, expires_at=expires)
    record_audit(
        actor=actor,
        project=project,
        action="token.create",
        subject_kind="token",
        subject_id=token.pk,
        subject_title=name,
        detail={
            "scope": scope,
            "user": user.username,
            "expires_at": expires.isoformat() if expires else None,
        },
    )
    return token, secret


@transaction.atomic
def revoke_token(*, actor: Actor, token: ApiToken) -> ApiToken:
    """End a token; it stops working within five seconds everywhere. Revoking twice changes nothing."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=now()):
        record_audit(
            actor=actor,
            project=token.project,
            action="token.revoke",
            subject_kind="token",
            subject_id=token.pk,
            subject_title=token.name,
        )
        publish(events.TokenRevoked(token_id=token.pk))
    token.refresh_from_db()
    return token


@transaction.atomic
def begin_login(*, username: str, address: str) -> None:
    """Count an attempt before its password is looked at; clear_login_failures() takes it back.

    Raises TooMany when this name or address has tried too often within a quarter of an hour. Attempts from one
    address wait for one another, so that a hundred at once are counted like a hundred in a row.
    """
    username, address = username[:150], address[:64]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"login {address}"])
    recent = LoginFailure.objects.filter(at__gt=now() - LOGIN_WINDOW, address=address)
    by_name, by_address = recent.filter(username=username).count(), recent.count()
    if by_name >= LOGIN_LIMIT_NAME or by_address >= LOGIN_LIMIT_ADDRESS:
        raise TooMany(
            "login.limited",
            "Too many failed attempts; wait a quarter of an hour and try again.",
            retry_after=int(LOGIN_WINDOW.total_seconds()),
        )
    LoginFailure.objects.create(username=username, address=address)
    LoginFailure.objects.filter(at__lt=now() - 2 * LOGIN_WINDOW).delete()


def clear_login_failures(*, username: str, address: str) -> None:
    """A correct password ends the count for this name and address."""
    LoginFailure.objects.filter(username=username[:150], address=address[:64]).delete()
