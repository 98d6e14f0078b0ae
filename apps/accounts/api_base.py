"""Base classes of REST views: who calls, which project, and may they."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from apps.accounts import openapi as openapi  # its schemes are known once it is imported
from apps.accounts.access import Actor, get_editable_project, get_visible_project
from apps.accounts.models import Project
from apps.accounts.states import Role


class _ActorMixin:
    request: Any

    @property
    def actor(self) -> Actor:
        """Who calls."""
        actor: Actor = self.request._request.actor
        return actor


class StudioAPIView(_ActorMixin, APIView):
    """A view outside any project."""


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
