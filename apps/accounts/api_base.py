"""Base classes of REST views: who calls, which team or project, and may they."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from apps.accounts import openapi as openapi  # its schemes are known once it is imported
from apps.accounts.access import (
    Actor,
    get_editable_project,
    get_editable_team,
    get_team_for,
    get_visible_project,
)
from apps.accounts.idempotency.answers import answer_once
from apps.accounts.idempotency.requests import HEADER
from apps.accounts.models import Project, Team
from apps.accounts.states import Role
from foundation.api import check_fields
from foundation.pagination import KeysetPagination


class _ActorMixin:
    request: Any
    post: Any

    @property
    def actor(self) -> Actor:
        """Who calls."""
        actor: Actor = self.request._request.actor
        return actor

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """A POST with an Idempotency-Key is done once; who calls, and whether they may, is asked every time."""
        once = request.method == "POST" and HEADER in request.headers
        if once and hasattr(self, "post") and not getattr(self, "reads_by_post", False):
            self.post = partial(answer_once, self.post)
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]


class StudioAPIView(_ActorMixin, APIView):
    """A view outside any project."""


class TeamAPIView(_ActorMixin, APIView):
    """A view below /api/v1/teams/{team} with self.team and self.actor. roles: the smallest role for each method."""

    roles: ClassVar[Mapping[str, Role]] = {}
    team: Team

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Authentication first, then the team and the role in it."""
        super().initial(request, *args, **kwargs)
        get = get_team_for if request.method in SAFE_METHODS else get_editable_team
        self.team = get(self.actor, kwargs["team"], role=self.role_for(request))

    def role_for(self, request: Any) -> Role:
        """The role that a request needs; what is not said is for owners."""
        return self.roles.get("GET" if request.method in SAFE_METHODS else request.method, Role.OWNER)


def checked(serializer_class: type[serializers.Serializer[Any]], request: Any) -> dict[str, Any]:
    """The request's body, validated. Raises Invalid "request.unknown_field"; other problems leave as request.invalid."""
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    check_fields(request.data, list(serializer.fields))
    data: dict[str, Any] = dict(serializer.validated_data)
    return data


def paged(view: Any, queryset: Any, serializer_class: Any, **context: Any) -> Response:
    """One keyset page of a list, in the view's orders."""
    paginator = KeysetPagination()
    items = paginator.paginate_queryset(queryset, view.request, view=view)
    return paginator.get_paginated_response(serializer_class(items, many=True, context=context).data)


class _ProjectMixin(_ActorMixin):
    write_role: Role = Role.CONTRIBUTOR
    project: Project

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Authentication first, then the project: visible for reading, editable for everything else."""
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        slug = kwargs["project"]
        if request.method in SAFE_METHODS or getattr(self, "reads_by_post", False):
            self.project = get_visible_project(self.actor, slug)
        else:
            self.project = get_editable_project(self.actor, slug, role=self.role_for(request))

    def role_for(self, request: Any) -> Role:
        """The role a changing request needs; a viewset may decide by self.action."""
        return self.write_role


class ProjectAPIView(_ProjectMixin, APIView):
    """A view below /api/v1/projects/{project}/ with self.project and self.actor."""


class ProjectViewSet(_ProjectMixin, ViewSet):
    """A viewset below /api/v1/projects/{project}/ with self.project and self.actor."""
