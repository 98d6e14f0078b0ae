"""Decorators of HTML pages: signed in, and inside a project or team one may see."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect

from apps.accounts.access import (
    check_role,
    get_visible_project,
    get_visible_team,
    require_write,
    role_in_project,
    role_in_team,
)
from apps.accounts.models import Project, Team
from apps.accounts.states import Role

P = ParamSpec("P")


def _to_login(request: HttpRequest) -> HttpResponse:
    if getattr(request, "htmx", False):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = redirect_to_login(request.headers.get("HX-Current-URL", "/")).url
        return response
    if request.user.is_authenticated:  # with a one-time password
        return redirect("accounts:password")
    return redirect_to_login(request.get_full_path())


def signed_in(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Sends anonymous visitors to the login page and back."""

    @functools.wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.actor.is_authenticated:  # type: ignore[attr-defined]
            return _to_login(request)
        return view(request, *args, **kwargs)

    return wrapper


def project_page(
    role: Role = Role.VIEWER, *, write: Role = Role.CONTRIBUTOR
) -> Callable[[Callable[Concatenate[Any, Project, P], HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """view(request, project, ...) for /p/<slug:project>/…: 404 for strangers, `role` to look, `write` to POST.

    Sets request.project, request.role and request.can_edit for the templates.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @functools.wraps(view)
        def wrapper(request: Any, project: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.actor.is_authenticated:
                return _to_login(request)
            found = get_visible_project(request.actor, project)
            mine = role_in_project(request.actor, found)
            check_role(mine, role)
            if request.method not in ("GET", "HEAD", "OPTIONS"):
                require_write(request.actor)
                check_role(mine, write)
            request.project, request.role = found, mine
            request.can_edit = mine is not None and mine.rank >= Role.CONTRIBUTOR.rank
            request.can_maintain = mine is not None and mine.rank >= Role.MAINTAINER.rank
            return view(request, found, *args, **kwargs)

        wrapper.roles = {"GET": role, "POST": max(role, write, key=lambda one: one.rank)}  # type: ignore[attr-defined]
        return wrapper

    return decorate


def team_page(
    role: Role = Role.MEMBER, *, write: Role = Role.OWNER
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """view(request, team, ...) for /teams/<slug:team>/…: 404 for strangers, `write` to POST."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @functools.wraps(view)
        def wrapper(request: Any, team: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.actor.is_authenticated:
                return _to_login(request)
            found: Team = get_visible_team(request.actor, team)
            mine = role_in_team(request.actor, found.pk)
            check_role(mine, role)
            if request.method not in ("GET", "HEAD", "OPTIONS"):
                require_write(request.actor)
                check_role(mine, write)
            request.team, request.role = found, mine
            request.can_own = mine is Role.OWNER
            request.can_maintain = mine is not None and mine.rank >= Role.MAINTAINER.rank
            return view(request, found, *args, **kwargs)

        wrapper.roles = {"GET": role, "POST": max(role, write, key=lambda one: one.rank)}  # type: ignore[attr-defined]
        return wrapper

    return decorate
