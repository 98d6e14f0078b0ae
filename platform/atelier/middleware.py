"""Request ids, typed errors as pages, and the two addresses with a policy of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from csp.constants import NONCE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from atelier.errors import error_answer, method_not_allowed
from foundation.api import as_atelier_error
from foundation.ids import uuid7

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")

# django-unfold's Alpine evaluates expressions; Swagger UI writes inline styles.
_ADMIN_POLICY: dict[str, Any] = {
    "script-src": [SELF, NONCE, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "style-src-attr": [UNSAFE_INLINE],
}
_DOCS_POLICY: dict[str, Any] = {
    "script-src": [SELF, UNSAFE_INLINE],
    "style-src": [SELF, UNSAFE_INLINE],
    "style-src-attr": [UNSAFE_INLINE],
}


class RequestIdMiddleware:
    """request.request_id: the gateway's, or a new one; answered as X-Request-ID."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        scope: dict[str, Any] = getattr(request, "scope", {})
        given = str(scope.get("atelier.request_id") or request.headers.get("X-Request-ID", ""))
        request.request_id = given if _REQUEST_ID.fullmatch(given) else uuid7().hex  # type: ignore[attr-defined]
        response = self.get_response(request)
        response.headers.setdefault("X-Request-ID", request.request_id)  # type: ignore[attr-defined]
        return response


class PolicyMiddleware(CSPMiddleware):
    """The strict policy everywhere, and the two wider ones where bundled scripts need them."""

    def get_policy_parts(self, request: HttpRequest, response: Any, report_only: bool = False) -> PolicyParts:
        """django-csp's hook, with `replace` set for /admin/ and /api/docs."""
        parts = super().get_policy_parts(request, response, report_only)
        if request.path.startswith("/admin/"):
            parts.replace = _ADMIN_POLICY
        elif request.path.startswith("/api/docs"):
            parts.replace = _DOCS_POLICY
        return parts


class ErrorMiddleware:
    """Typed errors raised by a page become a page (or the error shape under /api); bugs stay Django's 500."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed) and not request.path.startswith("/api/"):
            return method_not_allowed(request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Django's hook for an exception that left a view."""
        error = as_atelier_error(exception)
        if error is None:
            return None
        return error_answer(request, error)
