"""What every template needs for its frame."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject


def frame(request: HttpRequest) -> dict[str, Any]:
    """project, role and edit rights of the page (set by the page decorators), and the projects to switch to."""
    actor = getattr(request, "actor", None)
    found: dict[str, Any] = {
        "project": getattr(request, "project", None),
        "role": getattr(request, "role", None),
        "can_edit": getattr(request, "can_edit", False),
        "can_maintain": getattr(request, "can_maintain", False),
    }
    if actor is not None and actor.is_authenticated:
        from apps.accounts.access import visible_projects
        from atelier.home.navigation import navigation_for

        found["navigation"] = SimpleLazyObject(lambda: navigation_for(request))
        found["switchable_projects"] = lambda: list(visible_projects(actor).distinct().order_by("name")[:50])
    return found
