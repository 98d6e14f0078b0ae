"""Errors as answers: a page for people, the error shape under /api; also when the page's own frame fails."""

from __future__ import annotations

import logging
import sys
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from foundation import errors
from foundation.api import as_atelier_error, error_headers, json_error

logger = logging.getLogger(__name__)


def error_answer(request: HttpRequest, error: errors.AtelierError) -> HttpResponse:
    """The error as JSON under /api, else as a page in the studio's frame.

    The frame asks the database who is signed in. Where that fails too, a page without a frame says the same.
    """
    if request.path.startswith("/api/"):
        return json_error(request, error)
    context = {"error": error, "status": error.status, "request_id": getattr(request, "request_id", "")}
    try:
        response = render(request, "errors/error.html", context, status=error.status)
    except Exception:
        logger.exception("The frame of an error page could not be rendered.")
        response = HttpResponse(render_to_string("errors/bare.html", context), status=error.status)
    for name, value in error_headers(error).items():
        if name != "WWW-Authenticate":
            response.headers[name] = value
    return response


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """400."""
    return error_answer(request, errors.Malformed("request.malformed", "The request cannot be understood."))


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """403."""
    return error_answer(request, errors.Forbidden("forbidden", "You may not do that here."))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form that did not come from one of our pages, or from one that is too old."""
    if request.path.startswith("/api/"):
        return json_error(request, errors.Forbidden("auth.csrf", "A browser session needs the CSRF token."))
    return error_answer(
        request,
        errors.Forbidden(
            "auth.csrf", "This form is no longer valid. Go back, reload the page and send it again."
        ),
    )


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """404."""
    return error_answer(
        request, errors.NotFound("not_found", "There is nothing at this address, or it is not yours.")
    )


def method_not_allowed(request: HttpRequest, refused: HttpResponse) -> HttpResponse:
    """405 with a page: somebody opened the address of a form, by reloading or by signing in on the way."""
    error = errors.AtelierError(
        "method.not_allowed", "This address takes a form from one of our pages; it shows nothing by itself."
    )
    error.status = 405
    answer = error_answer(request, error)
    answer.headers["Allow"] = refused.headers["Allow"]
    return answer


def server_error(request: HttpRequest) -> HttpResponse:
    """500: our bug, found in the logs by its reference id; 503 when a component is away."""
    cause = sys.exc_info()[1]
    known = as_atelier_error(cause) if isinstance(cause, Exception) else None
    error = known or errors.AtelierError(
        "internal", "Something went wrong on our side; the reference id finds it in the logs."
    )
    return error_answer(request, error)
