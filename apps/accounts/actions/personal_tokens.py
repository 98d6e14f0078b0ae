"""Tokens of people: made and revoked."""

from __future__ import annotations

import datetime

from django.db import transaction

from apps.accounts import events, tokens
from apps.accounts.access import Actor, role_in_project
from apps.accounts.audit import record_audit
from apps.accounts.models import ApiToken, Project, User
from apps.accounts.states import Scope
from foundation.clock import now
from foundation.errors import Forbidden, Invalid, NotFound
from foundation.events import publish
from foundation.names import check_text

MAX_TOKEN_DAYS = 3650


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
