"""Do it once: the first answer is kept with the effect, and given again to whoever repeats the request."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apps.accounts.idempotency.models import KeyedAnswer
from apps.accounts.idempotency.requests import Asked, read_request
from foundation.api import as_atelier_error, error_headers, request_id_of
from foundation.errors import AtelierError, Conflict, Invalid, TooMany

KEPT = datetime.timedelta(hours=24)
REPLAYED = "Idempotent-Replayed"


class Running(Conflict):
    """Somebody works under the same key (409)."""

    retry_after = 1


Handler = Callable[..., HttpResponseBase]


def answer_once(handler: Handler, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
    """The handler's answer, or the first one given to the same key. Everything that the handler does stands or
    falls with the row that keeps its answer.

    A refusal (4xx) is an answer and is kept; a failure of ours (5xx) is rolled back and "too many" (429) is not
    kept: both may be tried again with the same key.

    Raises Running "idempotency.running" while the first request works, Invalid "idempotency.mismatch" when the
    key was sent with another body, Conflict "idempotency.unreadable" when the studio's secret has changed since.
    """
    asked = read_request(request)
    with transaction.atomic():
        if not _alone(asked):
            raise Running(
                "idempotency.running",
                "The first request with this Idempotency-Key is still being worked on; ask again in a moment.",
            )
        known = KeyedAnswer.objects.filter(pk=asked.slot, created_at__gt=Now() - KEPT).first()
        if known is not None:
            return _again(asked, known)
        answer, error = _try(handler, request, *args, **kwargs)
        if not isinstance(error, TooMany):
            _keep(asked, answer)
    if error is not None:
        raise error
    return answer


def forget_old() -> int:
    """Remove the answers that are no longer given. Returns how many."""
    return KeyedAnswer.objects.filter(created_at__lte=Now() - KEPT).delete()[0]


def _alone(asked: Asked) -> bool:
    """Whether nobody else works under this key. The lock ends with the transaction, or with the session."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [asked.lock])
        return bool(cursor.fetchone()[0])


def _try(
    handler: Handler, request: Any, *args: Any, **kwargs: Any
) -> tuple[HttpResponseBase, AtelierError | None]:
    """The answer, and the refusal that it is made of. Raises what is no refusal, and with it rolls back."""
    try:
        return handler(request, *args, **kwargs), None
    except Exception as error:
        found = as_atelier_error(error)
        if found is None or found.status >= 500 or connection.needs_rollback:
            raise
        body = found.as_dict(request_id_of(request))
        return Response(body, status=found.status, headers=error_headers(found)), found


def _keep(asked: Asked, answer: HttpResponseBase) -> None:
    if isinstance(answer, Response):
        kind = "application/json"
        body = b"" if answer.data is None else JSONRenderer().render(answer.data)
    elif isinstance(answer, HttpResponse):
        kind, body = answer["Content-Type"], answer.content
    else:
        return  # an answer that is made while it is sent is not kept
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
    KeyedAnswer.objects.update_or_create(
        pk=asked.slot,
        defaults={
            "request": asked.content,
            "status": answer.status_code,
            "headers": {**headers, "Content-Type": kind},
            "body": _fernet(asked).encrypt(body),
            "created_at": Now(),
        },
    )


def _again(asked: Asked, known: KeyedAnswer) -> HttpResponse:
    from cryptography.fernet import InvalidToken

    if known.request != asked.content:
        raise Invalid(
            "idempotency.mismatch",
            "This Idempotency-Key was sent before with another body; take a new key for another request.",
        )
    try:
        body = _fernet(asked).decrypt(bytes(known.body))
    except InvalidToken:
        raise Conflict(
            "idempotency.unreadable",
            "The answer to this key can no longer be read; look whether it was done.",
        ) from None
    return HttpResponse(body, status=known.status, headers={**known.headers, REPLAYED: "true"})


def _fernet(asked: Asked) -> Any:
    from cryptography.fernet import Fernet

    return Fernet(base64.urlsafe_b64encode(asked.cipher))
