"""REST: environments."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from apps.accounts.api import ProjectAPIView, checked, paged
from apps.environments import actions, queries
from apps.environments.access import get_environment
from apps.environments.models import Environment
from apps.environments.schemas import (
    EnvironmentChange,
    EnvironmentCreate,
    EnvironmentDetail,
    EnvironmentSerializer,
)
from apps.environments.states import EnvironmentState
from foundation.api import api_path, etag_of, unchanged
from foundation.errors import Invalid


def _shown(environment: Environment) -> dict[str, Any]:
    """The environment as the API shows it, read anew with its numbers."""
    rows = queries.environments_of(environment.project, trashed=environment.deleted_at is not None)
    found: Any = rows.defer(None).get(pk=environment.pk)
    found.folders = queries.folders_of(found)
    return dict(EnvironmentDetail(found).data)


def _etag(environment: Environment) -> str:
    return etag_of(environment.pk, environment.updated_at)


class EnvironmentsView(ProjectAPIView):
    """The environments of a project."""

    order_fields = ("created_at", "name", "updated_at")

    @extend_schema(
        operation_id="environments_list",
        parameters=[
            OpenApiParameter("q", str, description="Part of the name or of the requirements"),
            OpenApiParameter("state", str, enum=EnvironmentState.values),
            OpenApiParameter("trashed", str, enum=["true"], description="Those in the trash"),
        ],
        responses=EnvironmentSerializer(many=True),
    )
    def get(self, request: Any, **kwargs: Any) -> Response:
        asked = request.query_params
        rows = queries.environments_of(
            self.project, q=asked.get("q", ""), trashed=asked.get("trashed") == "true"
        )
        state = asked.get("state", "")
        if state and state not in EnvironmentState.values:
            raise Invalid(
                "list.state", f"For environments, state is one of {', '.join(EnvironmentState.values)}."
            )
        return paged(self, rows.filter(state=state) if state else rows, EnvironmentSerializer)

    @extend_schema(
        operation_id="environments_create", request=EnvironmentCreate, responses={201: EnvironmentDetail}
    )
    def post(self, request: Any, **kwargs: Any) -> Response:
        made = actions.create_environment(
            actor=self.actor, project=self.project, **checked(EnvironmentCreate, request)
        )
        return Response(_shown(made), status=201, headers={"ETag": _etag(made)})


class EnvironmentView(ProjectAPIView):
    """One environment."""

    @extend_schema(operation_id="environments_get", responses=EnvironmentDetail)
    def get(self, request: Any, name: str, **kwargs: Any) -> Response:
        found = get_environment(self.project, name)
        return Response(_shown(found), headers={"ETag": _etag(found)})

    @extend_schema(operation_id="environments_update", request=EnvironmentChange, responses=EnvironmentDetail)
    def patch(self, request: Any, name: str, **kwargs: Any) -> Response:
        found = get_environment(self.project, name)
        changes = checked(EnvironmentChange, request)
        with unchanged(request, found, _etag):
            found = actions.update_environment(actor=self.actor, environment=found, changes=changes)
        return Response(_shown(found), headers={"ETag": _etag(found)})

    @extend_schema(operation_id="environments_trash", responses={204: None})
    def delete(self, request: Any, name: str, **kwargs: Any) -> Response:
        actions.trash_environment(actor=self.actor, environment=get_environment(self.project, name))
        return Response(status=204)


class EnvironmentRestoreView(ProjectAPIView):
    """An environment back out of the trash."""

    @extend_schema(operation_id="environments_restore", request=None, responses=EnvironmentDetail)
    def post(self, request: Any, name: str, **kwargs: Any) -> Response:
        found = get_environment(self.project, name, trashed=True)
        return Response(_shown(actions.restore_environment(actor=self.actor, environment=found)))


class EnvironmentBuildView(ProjectAPIView):
    """Try once more to build one that failed."""

    @extend_schema(operation_id="environments_build", request=None, responses=EnvironmentDetail)
    def post(self, request: Any, name: str, **kwargs: Any) -> Response:
        found = get_environment(self.project, name)
        return Response(_shown(actions.build_again(actor=self.actor, environment=found)))


_ENVIRONMENT = r"environments/(?P<name>[^/]+)"

api_urlpatterns = [
    api_path(r"environments", EnvironmentsView.as_view(), name="environments"),
    api_path(_ENVIRONMENT, EnvironmentView.as_view(), name="environment"),
    api_path(_ENVIRONMENT + r"/restore", EnvironmentRestoreView.as_view(), name="environment-restore"),
    api_path(_ENVIRONMENT + r"/build", EnvironmentBuildView.as_view(), name="environment-build"),
]
