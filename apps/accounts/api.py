"""REST: who am I, projects, and the routes of this app. Also the base classes for all other apps' views."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from apps.accounts import actions, api_members, api_teams, queries
from apps.accounts.access import (
    get_trashed_project,
    get_visible_team,
    require_user,
    trashed_projects,
    visible_projects,
)
from apps.accounts.api_base import ProjectAPIView, ProjectViewSet, StudioAPIView, checked, paged
from apps.accounts.models import Project, User
from apps.accounts.permissions_table import permissions
from apps.accounts.schemas import (
    MeChange,
    MeSerializer,
    PasswordChange,
    Permission,
    ProjectChange,
    ProjectCreate,
    ProjectSerializer,
)
from apps.accounts.states import Role
from foundation.api import api_path, etag_of, unchanged
from foundation.clock import iso

__all__ = ["ProjectAPIView", "ProjectViewSet", "StudioAPIView", "checked", "paged"]


def _etag(project: Project) -> str:
    return etag_of(project.pk, iso(project.updated_at))


def _etag_of_user(user: User) -> str:
    return etag_of(user.pk, user.first_name, user.last_name, user.email)


class MeView(StudioAPIView):
    """Who the caller is."""

    @extend_schema(operation_id="me", responses=MeSerializer)
    def get(self, request: Any) -> Response:
        return self._answer()

    @extend_schema(operation_id="me_update", request=MeChange, responses=MeSerializer)
    def patch(self, request: Any) -> Response:
        user = require_user(self.actor)
        changes = checked(MeChange, request)
        with unchanged(request, user, _etag_of_user):
            actions.update_user(actor=self.actor, user=user, **changes)
        return self._answer()

    def _answer(self) -> Response:
        answer = queries.describe_actor(self.actor)
        return Response(answer, headers={"ETag": _etag_of_user(require_user(self.actor))})


class MyPasswordView(StudioAPIView):
    """The caller's password."""

    @extend_schema(operation_id="me_password", request=PasswordChange, responses={204: None})
    def post(self, request: Any) -> Response:
        user = require_user(self.actor)
        actions.change_password(actor=self.actor, user=user, **checked(PasswordChange, request))
        return Response(status=204)


class MySessionsView(StudioAPIView):
    """The caller's sessions in browsers."""

    @extend_schema(operation_id="me_sign_out", responses={204: None})
    def delete(self, request: Any) -> Response:
        """Sign out everywhere; tokens stay."""
        actions.sign_out_everywhere(actor=self.actor, user=require_user(self.actor))
        return Response(status=204)


class RolesView(StudioAPIView):
    """Who may do what, read from the addresses themselves."""

    @extend_schema(operation_id="roles_list", responses=Permission(many=True))
    def get(self, request: Any) -> Response:
        rows = [{"area": row.area, "text": row.text, "role": row.role.value} for row in permissions()]
        return Response({"results": rows, "next": None})


class ProjectsView(StudioAPIView):
    """The caller's projects."""

    order_fields = ("created_at", "slug", "name")

    @extend_schema(
        operation_id="projects_list",
        parameters=[
            api_teams.SEARCH,
            OpenApiParameter("trashed", str, enum=["true"], description="Those in the trash that you own"),
        ],
        responses=ProjectSerializer(many=True),
    )
    def get(self, request: Any) -> Response:
        asked = request.query_params
        visible = trashed_projects if asked.get("trashed") == "true" else visible_projects
        found = queries.search(visible(self.actor).select_related("team").distinct(), asked.get("q", ""))
        return paged(self, found, ProjectSerializer)

    @extend_schema(operation_id="projects_create", request=ProjectCreate, responses={201: ProjectSerializer})
    def post(self, request: Any) -> Response:
        data = checked(ProjectCreate, request)
        slug = data.pop("team")
        team = get_visible_team(self.actor, slug) if slug else None
        project = actions.create_project(actor=self.actor, team=team, **data)
        return Response(ProjectSerializer(project).data, status=201)


def _project_response(project: Project, status: int = 200) -> Response:
    response = Response(ProjectSerializer(project).data, status=status)
    response["ETag"] = _etag(project)
    return response


class ProjectView(ProjectAPIView):
    """One project."""

    def role_for(self, request: Any) -> Role:
        """Owners move it to the trash."""
        return Role.OWNER if request.method == "DELETE" else Role.MAINTAINER

    @extend_schema(operation_id="projects_get", responses=ProjectSerializer)
    def get(self, request: Any, project: str) -> Response:
        return _project_response(self.project)

    @extend_schema(operation_id="projects_update", request=ProjectChange, responses=ProjectSerializer)
    def patch(self, request: Any, project: str) -> Response:
        changes = checked(ProjectChange, request)
        with unchanged(request, self.project, _etag):
            return _project_response(
                actions.update_project(actor=self.actor, project=self.project, **changes)
            )

    @extend_schema(operation_id="projects_trash", responses={204: None})
    def delete(self, request: Any, project: str) -> Response:
        actions.trash_project(actor=self.actor, project=self.project)
        return Response(status=204)


class ProjectRestoreView(StudioAPIView):
    """Take a project out of the trash."""

    roles: ClassVar = {"POST": Role.OWNER}

    @extend_schema(operation_id="projects_restore", request=None, responses=ProjectSerializer)
    def post(self, request: Any, project: str) -> Response:
        return _project_response(
            actions.restore_project(actor=self.actor, project=get_trashed_project(self.actor, project))
        )


api_root_urlpatterns = [
    api_path("me", MeView.as_view(), name="me"),
    api_path("me/password", MyPasswordView.as_view(), name="me-password"),
    api_path("me/sessions", MySessionsView.as_view(), name="me-sessions"),
    api_path("roles", RolesView.as_view(), name="roles"),
    *api_teams.urlpatterns,
    *api_members.urlpatterns,
    api_path("projects", ProjectsView.as_view(), name="projects"),
    api_path(r"projects/(?P<project>[^/]+)", ProjectView.as_view(), name="project"),
    api_path(r"projects/(?P<project>[^/]+)/restore", ProjectRestoreView.as_view(), name="project-restore"),
]
