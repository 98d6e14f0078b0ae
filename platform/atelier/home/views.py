"""Pages that look over every app."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from foundation.ui.patterns import PARTS, patterns_context


def patterns(request: HttpRequest, part: str = "foundations") -> HttpResponse:
    """/patterns: every component in every state; open to anybody, since it shows nothing real."""
    if part not in dict(PARTS):
        raise Http404
    return render(request, f"patterns/{part}.html", patterns_context(request, part))
