"""Who is calling: tokens and sessions for REST framework, and request.actor for pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication, SessionAuthentication

from apps.accounts.access import ANONYMOUS, Actor
from apps.accounts.tokens import actor_of_token
from foundation.errors import Unauthenticated


def secret_in(header: str) -> str | None:
    """The token in an Authorization header: `Bearer atl_…`, or the password of HTTP Basic. None without header.

    Raises Unauthenticated "auth.malformed" for anything else.
    """
    if not header:
        return None
    scheme, _, rest = header.partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer" and rest:
        return rest
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(rest, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Unauthenticated("auth.malformed", "The Authorization header is not valid Basic.") from error
        return decoded.partition(":")[2]
    raise Unauthenticated("auth.malformed", "Send the token as 'Authorization: Bearer atl_…'.")


def address_of(request: HttpRequest) -> str:
    """The client's address as this server saw it."""
    return str(request.META.get("REMOTE_ADDR", ""))


def actor_for_request(request: HttpRequest) -> Actor:
    """The actor of the request's session."""
    user: Any = getattr(request, "user", None)
    signed_in = user is not None and user.is_authenticated and user.is_active
    actor = Actor(user=user) if signed_in else ANONYMOUS
    return replace(actor, request_id=getattr(request, "request_id", ""), address=address_of(request))


class ActorMiddleware:
    """Puts request.actor on every request (session only; tokens are read by the API's authentication)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user: Any = getattr(request, "user", None)
        actor = actor_for_request(request)
        if actor.user is not None and user.one_time_until is not None:
            # Until another password is chosen the session opens nothing but the page where that is done.
            actor = replace(actor, user=None)
        request.actor = actor  # type: ignore[attr-defined]
        return self.get_response(request)


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer atl_…` or Basic with the token as password."""

    def authenticate(self, request: Any) -> tuple[Any, Actor] | None:
        secret = secret_in(request.headers.get("Authorization", ""))
        if secret is None:
            return None
        actor = replace(
            actor_of_token(secret),
            request_id=getattr(request._request, "request_id", ""),
            address=address_of(request._request),
        )
        request._request.actor = actor
        return actor.user, actor

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="atelier"'


class BrowserAuthentication(SessionAuthentication):
    """The browser's session, with CSRF enforced for changes."""

    def authenticate(self, request: Any) -> tuple[Any, Any] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        return found[0], request._request.actor
