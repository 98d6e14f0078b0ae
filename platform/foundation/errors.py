"""Typed errors: a stable code, a sentence for a person, data for a program and an HTTP status.

Every error that may reach a person is one of these. `code` reads "<area>.<what>" and is part of the
contract (the pages of docs/ list all); `message` is a sentence that says what is wrong and, where it
helps, what to do. Anything else that escapes is our bug and is answered with 500 and a reference id.
"""

from __future__ import annotations

from typing import Any


class AtelierError(Exception):
    """Base of all errors that are meant to be read by a person.

    Attributes: code ("area.what"), message (one or two sentences), detail (JSON-able), status (HTTP).
    """

    status = 500

    def __init__(self, code: str, message: str, detail: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail or {}

    def __str__(self) -> str:
        return self.message

    def as_dict(self, request_id: str = "") -> dict[str, Any]:
        """The one error shape of the REST API."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "detail": self.detail,
                "request_id": request_id,
            }
        }


class Malformed(AtelierError):
    """The request cannot be read at all (400)."""

    status = 400


class Unauthenticated(AtelierError):
    """Nobody, or a token that is unknown, revoked or expired (401)."""

    status = 401


class Forbidden(AtelierError):
    """The object is visible, the action is not allowed (403)."""

    status = 403


class NotFound(AtelierError):
    """The object does not exist or is not yours: the two are never told apart (404)."""

    status = 404


class Conflict(AtelierError):
    """A duplicate name, a stale version, or a state that forbids the action (409)."""

    status = 409


class TooLarge(AtelierError):
    """More bytes, rows or columns than allowed (413)."""

    status = 413


class Invalid(AtelierError):
    """Well-formed, but the values cannot be accepted (422)."""

    status = 422


class TooMany(AtelierError):
    """Rate limit or quota (429). `retry_after` in seconds."""

    status = 429

    def __init__(
        self, code: str, message: str, detail: dict[str, Any] | None = None, retry_after: int = 60
    ) -> None:
        super().__init__(code, message, detail)
        self.retry_after = retry_after


class Unavailable(AtelierError):
    """A component is down or starting (503). `retry_after` in seconds."""

    status = 503

    def __init__(
        self, code: str, message: str, detail: dict[str, Any] | None = None, retry_after: int = 5
    ) -> None:
        super().__init__(code, message, detail)
        self.retry_after = retry_after


class NoSpace(AtelierError):
    """The disk of the studio is full: a component that cannot be used until somebody frees space (503)."""

    status = 503
    retry_after = 60
