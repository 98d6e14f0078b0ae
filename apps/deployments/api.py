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
from foundation.api import api_path, check_if_match, etag_of
from foundation.errors import Invalid, NotFound
from foundation.pagination import MAX_LIMIT, KeysetPagination


def _limit(request: Any, default: int = 50) -> int:
    raw = request.query_params.get("limit", str(default))
    if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw) <= MAX_LIMIT:
        raise Invalid("list.limit", f"limit is a whole number from 1 to {MAX_LIMIT}.", {"limit": raw[:40]})
    return int(raw)


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


def _body(request: Any, allowed: tuple[str, ...], required: tuple[str, ...] = ()) -> dict[str, Any]:
    data = request.data
    if not isinstance(data, dict):
        raise Invalid("request.invalid", "The body must be a JSON object.", {"field": "body"})
    for name in data:
        if name not in allowed:
            raise Invalid(
                "request.unknown_field",
                f"There is no field '{str(name)[:60]}'; there are: {', '.join(allowed)}.",
                {"field": str(name)[:60]},
            )
    for name in required:
        if name not in data:
            raise Invalid("request.missing_field", f"The field '{name}' is missing.", {"field": name})
    return {name: data[name] for name in allowed if name in data}


def _answer(deployment: Deployment, *, status: int = 200) -> Response:
    newest = deployment.revisions.first()
    body = schemas.deployment_json(deployment, job=newest.job_id if newest else None)
    return Response(body, status=status, headers={"ETag": etag_of(deployment.pk, deployment.updated_at)})


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
            OpenApiParameter("order_by", str, description="name, created_at or state; '-' for descending"),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str),
        ],
        responses=schemas.DeploymentShape(many=True),
    )
    def get(self, request: Any, project: str) -> Response:
        asked = request.query_params
        rows = queries.deployments_of(
            self.project,
            q=asked.get("q", ""),
            state=asked.get("state", ""),
            trashed=asked.get("trashed") == "true",
        )
        pages = KeysetPagination()
        found = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([schemas.deployment_json(row) for row in found])

    @extend_schema(
        operation_id="deployments_create",
        request=schemas.DeploymentCreate,
        responses={201: schemas.DeploymentShape},
    )
    def post(self, request: Any, project: str) -> Response:
        data = _body(request, ("name", "model", "description"), ("name", "model"))
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
        check_if_match(request, etag_of(found.pk, found.updated_at))
        changes = _body(request, ("name", "description", "model"))
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

    @extend_schema(operation_id="deployments_revisions", responses=schemas.RevisionShape(many=True))
    def get(self, request: Any, project: str, name: str) -> Response:
        rows = get_deployment(self.project, name).revisions.all()[:MAX_LIMIT]
        return Response({"results": [schemas.revision_json(row) for row in rows], "next": None})


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

    @extend_schema(
        operation_id="deployments_inferences",
        parameters=[
            OpenApiParameter("start", str, description="Not before this time"),
            OpenApiParameter("end", str, description="Before this time"),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str, description="From the answer's next"),
        ],
        responses=schemas.InferenceShape(many=True),
    )
    def get(self, request: Any, project: str, name: str) -> Response:
        found = get_deployment(self.project, name)
        raw = request.query_params.get("cursor")
        try:
            cursor = UUID(raw) if raw else None
        except ValueError:
            raise Invalid("list.cursor", "This cursor is not one that the list has given out.") from None
        page = queries.list_inferences(
            found,
            limit=_limit(request),
            before=cursor,
            start=_moment(request, "start"),
            end=_moment(request, "end"),
        )
        following = None
        if page.next:
            again = request._request.GET.copy()
            again["cursor"] = page.next
            following = request.build_absolute_uri(f"{request.path}?{again.urlencode()}")
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
        data = _body(request, ("labels",), ("labels",))
        stored = feedback.add_labels(actor=self.actor, deployment=found, labels=data["labels"])
        return Response({"stored": stored})


class EventsView(ProjectAPIView):
    """Past inferences from elsewhere: the imports, and a new one by a file."""

    @extend_schema(operation_id="deployments_imports", responses=schemas.ImportShape(many=True))
    def get(self, request: Any, project: str, name: str) -> Response:
        found = get_deployment(self.project, name)
        return Response(
            {"results": [schemas.import_json(r) for r in queries.imports_of(found)], "next": None}
        )

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
