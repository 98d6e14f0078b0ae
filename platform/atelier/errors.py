"""Django's last-resort handlers: a page for people, the error shape under /api."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from foundation import errors
from foundation.api import json_error


def _answer(request: HttpRequest, error: errors.AtelierError) -> HttpResponse:
    if request.path.startswith("/api/"):
        return json_error(request, error)
    context = {"error": error, "status": error.status, "request_id": getattr(request, "request_id", "")}
    return render(request, "errors/error.html", context, status=error.status)


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """400."""
    return _answer(request, errors.Malformed("request.malformed", "The request cannot be understood."))


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """403."""
    return _answer(request, errors.Forbidden("forbidden", "You may not do that here."))


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """404."""
    return _answer(
        request, errors.NotFound("not_found", "There is nothing at this address, or it is not yours.")
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """500: our bug, found in the logs by its reference id."""
    error = errors.AtelierError(
        "internal", "Something went wrong on our side; the reference id finds it in the logs."
    )
    return _answer(request, error)
