"""The search page; the dialog behind `/` asks it for its results alone."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.pages import signed_in
from atelier.search.finding import search, sources


@require_GET
@signed_in
def search_page(request: Any) -> HttpResponse:
    """?q= what to find, ?kind= only one kind, ?near= the project one came from, whose things come first."""
    asked = request.GET
    kind = asked.get("kind", "") if asked.get("kind", "") in sources() else ""
    results = search(request.actor, asked.get("q", ""), kind=kind, near=asked.get("near", ""))
    context = {"results": results, "kind": kind, "sources": sources().values(), "near": asked.get("near", "")}
    return render(request, "search/_results.html" if request.htmx else "search/page.html", context)
