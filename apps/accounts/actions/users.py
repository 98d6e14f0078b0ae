"""Accounts of people: made, renamed, given a password, signed out everywhere."""

from __future__ import annotations

import datetime
import secrets
from dataclasses import replace
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import F

from apps.accounts.access import Actor
from apps.accounts.actions.signin import begin_login, clear_login_failures
from apps.accounts.audit import record_audit
from apps.accounts.models import Team, User
from foundation.clock import now
from foundation.errors import Conflict, Forbidden, Invalid
from foundation.names import check_name, check_text

ONE_TIME = datetime.timedelta(days=7)
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is mistaken for another


def new_one_time_password() -> str:
    """Sixteen letters and digits in four groups: 79 random bits that can be read out."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


@transaction.atomic
def create_user(
    *,
    actor: Actor,
    username: str,
    password: str | None,
    name: str = "",
    email: str = "",
    is_superuser: bool = False,
    is_service: bool = False,
    one_time: bool = False,
    team: Team | None = None,
) -> User:
    """A new account. one_time: the password works for ONE_TIME, and only to choose another; team: in whose
    audit trail it stands. Raises Invalid for a bad name or weak password, Conflict for a name in use."""
    check_name(username, field="username")
    if User.objects.filter(username__iexact=username).exists():
        raise _taken(username)
    user = User(
        username=username,
        first_name=check_text(name, field="name", limit=150).strip(),
        email=check_email(email),
        is_staff=is_superuser,
        is_superuser=is_superuser,
        is_service=is_service,
        one_time_until=now() + ONE_TIME if one_time else None,
    )
    if password is None or is_service:
        user.set_unusable_password()
    else:
        _set_password(user, password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise _taken(username) from error
    if not actor.is_authenticated:  # who joins by a link makes the account by themselves
        actor = replace(actor, user=user)
    _audit(actor, user, "user.create", team=team)
    return user


def _taken(username: str) -> Conflict:
    return Conflict("user.exists", f"There is already an account '{username}'.", {"field": "username"})


def _set_password(user: User, password: str) -> None:
    check_text(password, field="password", limit=1000)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid("user.password", " ".join(error.messages), {"field": "password"}) from error
    user.set_password(password)


def check_email(text: object) -> str:
    """An address, or "" for none. Raises Invalid "user.email"."""
    email = check_text(text, field="email", limit=254).strip()
    if email:
        try:
            validate_email(email)
        except ValidationError as error:
            raise Invalid(
                "user.email", f"'{email[:60]}' is no e-mail address.", {"field": "email"}
            ) from error
    return email


@transaction.atomic
def update_user(*, actor: Actor, user: User, name: str | None = None, email: str | None = None) -> User:
    """Change the name shown to others, or the address; what is None stays. Raises Invalid, Forbidden for a token
    that is bound."""
    _check_whole(actor)
    changed: list[str] = []
    if name is not None:
        user.first_name, user.last_name = check_text(name, field="name", limit=150).strip(), ""
        changed += ["first_name", "last_name"]
    if email is not None:
        user.email = check_email(email)
        changed.append("email")
    if changed:
        user.save(update_fields=changed)
        given = [word for word, value in (("name", name), ("email", email)) if value is not None]
        _audit(actor, user, "user.update", detail={"changed": given})
    return user


def change_password(*, actor: Actor, user: User, old: str, new: str) -> User:
    """Choose another password; all other sessions end, tokens stay. Wrong tries count like those of signing in.

    Raises Invalid "user.password_wrong" and "user.password", Forbidden for a token that is bound, TooMany.
    """
    _check_whole(actor)
    begin_login(username=user.username, address=actor.address)
    if not user.check_password(old):
        raise Invalid("user.password_wrong", "That is not the present password.", {"field": "old"})
    clear_login_failures(username=user.username, address=actor.address)
    if old == new:
        raise Invalid("user.password", "Choose another one than the present.", {"field": "new"})
    with transaction.atomic():
        try:
            _set_password(user, new)
        except Invalid as error:
            raise Invalid(error.code, error.message, {"field": "new"}) from error
        user.one_time_until = None
        user.save(update_fields=["password", "one_time_until"])
        _audit(actor, user, "user.password")
    return user


@transaction.atomic
def sign_out_everywhere(*, actor: Actor, user: User, team: Team | None = None) -> User:
    """End every session of an account, the present one included. Tokens stay. Raises Forbidden for a bound token."""
    _check_whole(actor)
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    user.refresh_from_db(fields=["session_epoch"])
    _audit(actor, user, "user.sign_out", team=team)
    return user


def _check_whole(actor: Actor) -> None:
    """What runs as a job, or was meant for one project, has no business with the account itself."""
    if actor.project_id is not None or actor.job_id is not None:
        raise Forbidden("token.bound", "A token bound to a project or a job cannot change the account.")


def _audit(
    actor: Actor, user: User, action: str, *, team: Team | None = None, detail: dict[str, Any] | None = None
) -> None:
    record_audit(
        actor=actor,
        team=team,
        action=action,
        subject_kind="user",
        subject_id=user.pk,
        subject_title=user.username,
        detail=detail,
    )
