"""Small ASGI pieces shared by the gateway's routes: headers, credentials, bodies, answers in the error shape."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from foundation.errors import AtelierError, Forbidden, TooLarge, Unauthenticated
from gateway.ports import Caller, Credentials

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class ClientGone(Exception):
    """The client closed the connection before the request was complete: nothing can be answered."""


def header(scope: Scope, name: bytes) -> str:
    """The first header of that (lower-case) name as text, or an empty string."""
    for key, value in scope.get("headers", ()):
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def cookie(scope: Scope, name: str) -> str | None:
    """The cookie of that name, or None."""
    raw = header(scope, b"cookie")
    if name not in raw:
        return None
    try:
        morsel = SimpleCookie(raw).get(name)
    except CookieError:
        return None
    return morsel.value if morsel else None


def read_credentials(scope: Scope, session_cookie: str) -> Credentials:
    """What the request carries: a Bearer token, the password of HTTP Basic, or the session cookie.

    Raises Unauthenticated "auth.malformed" for a Basic header that cannot be decoded.
    """
    scheme, _, value = header(scope, b"authorization").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return Credentials(token=value)
    if scheme.lower() == "basic" and value:
        try:
            _, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Unauthenticated(
                "auth.malformed", "The Basic authorization header cannot be decoded."
            ) from error
        return Credentials(token=password)
    return Credentials(session_key=cookie(scope, session_cookie))


def check_same_origin(scope: Scope, caller: Caller) -> None:
    """A browser session may use unsafe methods only from the studio's own pages (cross-site request forgery).

    Browsers always send Origin with such requests; a page of another site cannot forge it. Raises Forbidden
    "auth.cross_site".
    """
    if not caller.is_session or scope["method"] in SAFE_METHODS:
        return
    origin = header(scope, b"origin")
    host = header(scope, b"host")
    if origin.partition("://")[2] != host or not host:
        raise Forbidden(
            "auth.cross_site",
            "A browser session can only be used from the studio's own pages; use an API token instead.",
        )


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body, at most `limit` bytes, counted as they arrive. Raises TooLarge "request.too_large"."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge(
                "request.too_large",
                f"The request body is larger than the {limit:,} bytes allowed here.",
                {"limit": limit},
            )
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def declared_length(scope: Scope) -> int | None:
    """Content-Length when it is present and a number. Never trusted as a limit, only used to refuse early."""
    value = header(scope, b"content-length")
    return int(value) if value.isdigit() else None


def request_id(scope: Scope) -> str:
    """The id of this request, as the gateway set it on the scope."""
    return str(scope.get("atelier.request_id", ""))


def accept_request_id(value: str, fallback: Callable[[], str]) -> str:
    """The client's own X-Request-ID when it is harmless, else a new one."""
    return value if _REQUEST_ID.fullmatch(value) else fallback()


async def send_bytes(
    send: Send, status: int, body: bytes, content_type: bytes, headers: Headers = ()
) -> None:
    """One complete answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, payload: Any, headers: Headers = ()) -> None:
    """One complete JSON answer. NaN and infinities must not be in the payload (raises ValueError)."""
    body = json.dumps(payload, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "replace"
    )
    await send_bytes(send, status, body, b"application/json", headers)


async def send_error(send: Send, scope: Scope, error: AtelierError) -> None:
    """An error in the REST shape, with WWW-Authenticate or Retry-After where the status asks for it."""
    headers: list[tuple[bytes, bytes]] = []
    if error.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="atelier"'))
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers.append((b"retry-after", str(int(retry_after)).encode()))
    await send_json(send, error.status, error.as_dict(request_id(scope)), headers)
