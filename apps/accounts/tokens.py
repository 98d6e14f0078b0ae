"""API tokens: making, reading and ending them. The secret is shown once; only its SHA-256 is kept.

A plain SHA-256 is enough here (and quick): the secret has 238 random bits, so there is nothing to guess.
"""

from __future__ import annotations

import datetime
import hashlib
import secrets
import string
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from apps.accounts.access import Actor
from apps.accounts.models import ApiToken, Project, User
from apps.accounts.states import Scope
from foundation.clock import now
from foundation.errors import Unauthenticated

PREFIX = "atl_"
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 40
_USED_STEP = datetime.timedelta(minutes=1)


def new_secret() -> str:
    """A fresh secret: atl_ and 40 letters and digits."""
    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def digest_of(secret: str) -> str:
    """What is stored instead of the secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def store_token(
    *,
    user: User | None,
    name: str,
    scope: str = Scope.WRITE,
    project: Project | None = None,
    expires_at: datetime.datetime | None = None,
    job_id: UUID | None = None,
    fence: int | None = None,
) -> tuple[ApiToken, str]:
    """Make a token row; returns it with the secret, which exists nowhere else."""
    secret = new_secret()
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=secret[: len(PREFIX) + 4],
        digest=digest_of(secret),
        scope=scope,
        project=project,
        expires_at=expires_at,
        job_id=job_id,
        fence=fence,
    )
    return token, secret


def issue_job_token(
    *,
    user: User | None,
    project: Project,
    job_id: UUID,
    fence: int,
    scope: str = Scope.WRITE,
    lifetime: datetime.timedelta = datetime.timedelta(days=8),
) -> str:
    """A token for one attempt of a job, bound to its project; it dies with the attempt."""
    _, secret = store_token(
        user=user,
        name=f"job {job_id.hex[-8:]}",
        scope=scope,
        project=project,
        expires_at=now() + lifetime,
        job_id=job_id,
        fence=fence,
    )
    return secret


def end_job_tokens(*, job_id: UUID, fence: int | None = None) -> None:
    """Revoke the tokens of a job's attempt (of all its attempts without a fence)."""
    tokens = ApiToken.objects.filter(job_id=job_id, revoked_at__isnull=True)
    if fence is not None:
        tokens = tokens.filter(fence__lte=fence)
    tokens.update(revoked_at=now())


def actor_of_token(secret: str) -> Actor:
    """Who a secret stands for. Raises Unauthenticated with the reason (unknown, revoked, expired, deactivated)."""
    if not secret.startswith(PREFIX) or len(secret) > 100:
        raise Unauthenticated("token.unknown", "This is not a token of Atelier (they begin with atl_).")
    token = ApiToken.objects.select_related("user").filter(digest=digest_of(secret)).first()
    if token is None:
        raise Unauthenticated("token.unknown", "This token is unknown here.")
    if token.revoked_at is not None:
        raise Unauthenticated("token.revoked", "This token has been revoked.")
    if token.expires_at is not None and token.expires_at <= now():
        raise Unauthenticated("token.expired", "This token has expired; make a new one on your account page.")
    if token.user is not None and not token.user.is_active:
        raise Unauthenticated("token.revoked", "The account of this token has been deactivated.")
    _note_use(token)
    return Actor(
        user=token.user,
        scope=token.scope,
        project_id=token.project_id,
        token_id=token.pk,
        job_id=token.job_id,
        fence=token.fence,
    )


def _note_use(token: ApiToken) -> None:
    """Keep last_used_at to the minute, so that a busy token costs one small write a minute."""
    moment = now()
    if token.last_used_at is None or moment - token.last_used_at > _USED_STEP:
        with transaction.atomic():
            ApiToken.objects.filter(pk=token.pk).filter(
                Q(last_used_at__isnull=True) | Q(last_used_at__lt=moment - _USED_STEP)
            ).update(last_used_at=moment)
