"""Live parts of pages: rendered anew on each look, sent only when they changed."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response

from foundation.api import etag_of


def render_live(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """A template as an answer with an ETag: 304 when it is what the page has already."""
    response = render(request, template, context)
    tag = etag_of(response.content)
    response.headers["ETag"] = tag
    return get_conditional_response(request, etag=tag, response=response) or response
