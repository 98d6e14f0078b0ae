"""Teams and the names they carry."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from apps.accounts.access import Actor, require_user
from apps.accounts.audit import record_audit
from apps.accounts.models import Membership, Team
from apps.accounts.states import Role
from foundation.errors import Conflict, Invalid
from foundation.names import check_slug, check_text


@transaction.atomic
def create_team(*, actor: Actor, slug: str, name: str, description: str = "") -> Team:
    """A new team whose maker is its owner. Raises Conflict when the slug is taken."""
    user = require_user(actor)
    check_slug(slug)
    if Team.objects.filter(slug=slug).exists():
        raise Conflict("team.exists", f"There is already a team '{slug}'.")
    team = Team.objects.create(
        slug=slug, name=check_title(name or slug), description=check_text(description, field="description")
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
        changed["name"] = check_title(name)
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


def check_title(text: str) -> str:
    """The name that people read, of a team or project. Raises Invalid "name.invalid"."""
    text = check_text(text, field="name", limit=80).strip()
    if not text:
        raise Invalid("name.invalid", "The name is missing.", {"field": "name"})
    return text
