"""Projects: made, changed, moved to the trash and taken out of it."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts import events
from apps.accounts.access import Actor, require_user, role_in_team
from apps.accounts.actions.teams import check_title
from apps.accounts.audit import record_audit
from apps.accounts.models import Project, Team, User
from apps.accounts.states import Role
from foundation.clock import now
from foundation.errors import Conflict, Forbidden, Invalid
from foundation.events import publish
from foundation.names import check_slug, check_text


def check_timezone(text: str) -> str:
    """The IANA zone's name itself. Raises Invalid "timezone.unknown"."""
    if text not in zoneinfo.available_timezones():
        raise Invalid(
            "timezone.unknown",
            f"'{str(text)[:60]}' is no time zone; use a name such as Europe/Berlin.",
            {"field": "timezone"},
        )
    return text


ROLE_TO_CREATE = Role.MAINTAINER


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
    if role is None or role.rank < ROLE_TO_CREATE.rank:
        raise Forbidden("role.too_small", "Projects are made by maintainers and owners of the team.")
    if Project.objects.filter(slug=slug).exists():
        raise Conflict(
            "project.exists",
            f"The short name '{slug}' is or was in use, and no short name is given out twice.",
        )
    try:
        with transaction.atomic():
            project = Project.objects.create(
                team=team,
                slug=slug,
                name=check_title(name or slug),
                created_by=user,
                description=check_text(description, field="description"),
                timezone=check_timezone(timezone),
            )
    except IntegrityError as error:
        raise Conflict(
            "project.exists",
            f"The short name '{slug}' is or was in use, and no short name is given out twice.",
        ) from error
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
        changed["name"] = check_title(name)
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
