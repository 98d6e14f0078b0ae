"""REST of deployments, below /api/v1/projects/{project}/."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from apps.accounts.api import ProjectAPIView
from apps.accounts.states import Role
from apps.deployments import actions, feedback, queries, schemas
from apps.deployments.access import get_deployment, get_event_import, get_trashed_deployment
from apps.deployments.logs import read_log
from apps.deployments.models import Deployment
from apps.deployments.states import DeploymentState
from foundation.api import api_path, etag_of, read_fields, unchanged
from foundation.errors import Invalid, NotFound
from foundation.pagination import KeysetPagination, bad_cursor, limit_of, link_to


def _moment(request: Any, field: str) -> datetime.datetime | None:
    raw = request.query_params.get(field)
    if not raw:
        return None
    try:
        moment = datetime.datetime.fromisoformat(raw)
    except ValueError:
        raise Invalid(
            "list.time", f"{field} is an RFC 3339 time such as 2026-01-31T12:00:00Z.", {field: raw[:40]}
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _uuid(value: str, code: str, message: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise NotFound(code, message) from None


def _etag(deployment: Deployment) -> str:
    return etag_of(deployment.pk, deployment.updated_at)


def _paged(view: Any, request: Any, rows: Any, show: Any) -> Response:
    pages = KeysetPagination()
    found = pages.paginate_queryset(rows, request, view=view) or []
    return pages.get_paginated_response([show(row) for row in found])


def _answer(deployment: Deployment, *, status: int = 200) -> Response:
    newest = deployment.revisions.first()
    body = schemas.deployment_json(deployment, job=newest.job_id if newest else None)
    return Response(body, status=status, headers={"ETag": _etag(deployment)})


class DeploymentsView(ProjectAPIView):
    """The deployments of a project."""

    write_role = Role.MAINTAINER
    order_fields = ("name", "created_at", "state")
    default_order = ("-created_at",)

    @extend_schema(
        operation_id="deployments_list",
        parameters=[
            OpenApiParameter("q", str, description="Part of the name or the model"),
            OpenApiParameter("state", str, enum=DeploymentState.values),
            OpenApiParameter("trashed", str, description="true: those in the trash"),
        ],
        responses=schemas.DeploymentShape(many=True),
    )
    def get(self, request: Any, project: str) -> Response:
        asked = request.query_params
        state = asked.get("state", "")
        if state and state not in DeploymentState.values:
            raise Invalid("list.state", f"state is one of {', '.join(DeploymentState.values)}.")
        rows = queries.deployments_of(
            self.project,
            q=asked.get("q", ""),
            state=state,
            trashed=asked.get("trashed") == "true",
        )
        return _paged(self, request, rows, schemas.deployment_json)

    @extend_schema(
        operation_id="deployments_create",
        request=schemas.DeploymentCreate,
        responses={201: schemas.DeploymentShape},
    )
    def post(self, request: Any, project: str) -> Response:
        data = read_fields(request, ("name", "model", "description"), ("name", "model"))
        made = actions.create_deployment(actor=self.actor, project=self.project, **data)
        return _answer(made, status=201)


class DeploymentView(ProjectAPIView):
    """One deployment."""

    write_role = Role.MAINTAINER

    @extend_schema(operation_id="deployments_get", responses=schemas.DeploymentShape)
    def get(self, request: Any, project: str, name: str) -> Response:
        return _answer(get_deployment(self.project, name))

    @extend_schema(
        operation_id="deployments_update", request=schemas.DeploymentChange, responses=schemas.DeploymentShape
    )
    def patch(self, request: Any, project: str, name: str) -> Response:
        found = get_deployment(self.project, name)
        changes = read_fields(request, ("name", "description", "model"))
        with unchanged(request, found, _etag):
            updated = actions.change_deployment(actor=self.actor, deployment=found, **changes)
        return _answer(updated)

    @extend_schema(operation_id="deployments_delete", responses={204: None})
    def delete(self, request: Any, project: str, name: str) -> Response:
        actions.trash_deployment(actor=self.actor, deployment=get_deployment(self.project, name))
        return Response(status=204)


class DeploymentVerbView(ProjectAPIView):
    """Start, stop, or restore from the trash."""

    write_role = Role.MAINTAINER

    @extend_schema(operation_id="deployments_verb", request=None, responses=schemas.DeploymentShape)
    def post(self, request: Any, project: str, name: str, verb: str) -> Response:
        find = get_trashed_deployment if verb == "restore" else get_deployment
        act = {
            "start": actions.start_deployment,
            "stop": actions.stop_deployment,
            "restore": actions.restore_deployment,
        }[verb]
        return _answer(act(actor=self.actor, deployment=find(self.project, name)))


class RevisionsView(ProjectAPIView):
    """The revisions of a deployment, newest first."""

    order_fields = ("number", "created_at")
    default_order = ("-number",)

    @extend_schema(operation_id="deployments_revisions", responses=schemas.RevisionShape(many=True))
    def get(self, request: Any, project: str, name: str) -> Response:
        return _paged(
            self, request, get_deployment(self.project, name).revisions.all(), schemas.revision_json
        )


class LogsView(ProjectAPIView):
    """What the model processes of a deployment wrote, from ?offset= (bytes) on, as text."""

    @extend_schema(
        operation_id="deployments_logs",
        parameters=[OpenApiParameter("offset", int)],
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def get(self, request: Any, project: str, name: str) -> HttpResponse:
        raw = request.query_params.get("offset", "0")
        if not raw.isascii() or not raw.isdigit():
            raise Invalid("list.offset", "offset is a number of bytes.", {"offset": raw[:40]})
        found = get_deployment(self.project, name)
        part = read_log(found, int(raw))
        response = HttpResponse(part.text, content_type="text/plain; charset=utf-8")
        response["X-Next-Offset"] = str(part.next)
        response["X-Live"] = "1" if found.is_running else "0"
        return response


class InferencesView(ProjectAPIView):
    """Recorded inferences, newest first."""

    order_fields = ()

    @extend_schema(
        operation_id="deployments_inferences",
        parameters=[
            OpenApiParameter("start", str, description="Not before this time"),
            OpenApiParameter("end", str, description="Before this time"),
        ],
        responses=schemas.InferenceShape(many=True),
    )
    def get(self, request: Any, project: str, name: str) -> Response:
        found = get_deployment(self.project, name)
        raw = request.query_params.get("cursor")
        try:
            cursor = UUID(raw) if raw else None
        except ValueError:
            raise bad_cursor() from None
        page = queries.list_inferences(
            found,
            limit=limit_of(request),
            before=cursor,
            start=_moment(request, "start"),
            end=_moment(request, "end"),
        )
        following = link_to(request, str(page.next)) if page.next else None
        return Response({"results": [schemas.inference_json(i) for i in page.items], "next": following})


class InferenceView(ProjectAPIView):
    """One recorded inference."""

    @extend_schema(operation_id="deployments_inference", responses=schemas.InferenceShape)
    def get(self, request: Any, project: str, name: str, inference: str) -> Response:
        found = get_deployment(self.project, name)
        message = "This deployment has recorded no such inference."
        wanted = _uuid(inference, "inference.not_found", message)
        record = queries.get_inference(found, wanted)
        if record is None:
            raise NotFound("inference.not_found", message)
        return Response(schemas.inference_json(record))


class LabelsView(ProjectAPIView):
    """Tell what really happened."""

    @extend_schema(
        operation_id="deployments_labels", request=schemas.LabelsShape, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Any, project: str, name: str) -> Response:
        found = get_deployment(self.project, name)
        data = read_fields(request, ("labels",), ("labels",))
        stored = feedback.add_labels(actor=self.actor, deployment=found, labels=data["labels"])
        return Response({"stored": stored})


class EventsView(ProjectAPIView):
    """Past inferences from elsewhere: the imports, and a new one by a file."""

    order_fields = ("created_at",)

    @extend_schema(operation_id="deployments_imports", responses=schemas.ImportShape(many=True))
    def get(self, request: Any, project: str, name: str) -> Response:
        found = get_deployment(self.project, name)
        return _paged(self, request, found.imports.all(), schemas.import_json)

    @extend_schema(
        operation_id="deployments_import",
        request={
            "multipart/form-data": {
                "type": "object",
                "properties": {"file": {"type": "string", "format": "binary"}},
                "required": ["file"],
            }
        },
        responses={202: schemas.ImportShape},
    )
    def post(self, request: Any, project: str, name: str) -> Response:
        from apps.datasets.uploads import staged_file

        found = get_deployment(self.project, name)
        staged = staged_file(request, "file")
        record, _ = feedback.import_events(actor=self.actor, deployment=found, staged=staged)
        return Response(schemas.import_json(record), status=202)


class EventImportView(ProjectAPIView):
    """One import of past inferences."""

    @extend_schema(operation_id="deployments_import_get", responses=schemas.ImportShape)
    def get(self, request: Any, project: str, name: str, record: str) -> Response:
        found = get_deployment(self.project, name)
        wanted = _uuid(record, "deployment.import_not_found", "There is no such import in this deployment.")
        return Response(schemas.import_json(get_event_import(found, wanted)))


ONE = r"deployments/(?P<name>[^/]+)"
api_urlpatterns = [
    api_path("deployments", DeploymentsView.as_view(), name="deployments"),
    api_path(rf"{ONE}/(?P<verb>start|stop|restore)", DeploymentVerbView.as_view(), name="deployment-verb"),
    api_path(rf"{ONE}/revisions", RevisionsView.as_view(), name="deployment-revisions"),
    api_path(rf"{ONE}/logs", LogsView.as_view(), name="deployment-logs"),
    api_path(rf"{ONE}/inferences", InferencesView.as_view(), name="deployment-inferences"),
    api_path(rf"{ONE}/inferences/(?P<inference>[^/]+)", InferenceView.as_view(), name="deployment-inference"),
    api_path(rf"{ONE}/labels", LabelsView.as_view(), name="deployment-labels"),
    api_path(rf"{ONE}/events", EventsView.as_view(), name="deployment-events"),
    api_path(rf"{ONE}/events/(?P<record>[^/]+)", EventImportView.as_view(), name="deployment-event-import"),
    api_path(ONE, DeploymentView.as_view(), name="deployment"),
]
