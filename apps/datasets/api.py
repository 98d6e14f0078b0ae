"""REST of datasets and their versions, below /api/v1/projects/{project}/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.response import Response

from apps.accounts.api import ProjectAPIView
from apps.accounts.states import Role
from apps.datasets import actions, queries, schemas
from apps.datasets.access import (
    get_editable_dataset,
    get_editable_version,
    get_visible_dataset,
    get_visible_version,
)
from apps.datasets.downloads import download
from apps.datasets.models import Dataset, DatasetVersion
from apps.datasets.presenting import dataset_json, profile_json, version_json
from apps.datasets.sandbox.options import OFFERED
from apps.datasets.uploads import staged_file
from foundation.api import api_path, etag_of, read_fields, unchanged
from foundation.clock import iso
from foundation.errors import Conflict, Invalid
from foundation.pagination import KeysetPagination

NAME = r"datasets/(?P<name>[^/]+)"
VERSION = rf"{NAME}/versions/(?P<number>[^/]+)"
TRASHED = OpenApiParameter("trashed", bool, description="true: those in the trash")


def _fields(request: Any) -> Mapping[str, Any]:
    """The form beside the file. Raises Invalid "request.invalid" for JSON that is no object."""
    if not isinstance(request.data, Mapping):
        raise Invalid("request.invalid", "Send a multipart form with the file in it.", {"field": "body"})
    return request.data


def _options(request: Any) -> dict[str, Any]:
    fields = _fields(request)
    return {name: fields[name] for name in (*OFFERED, "sheet") if fields.get(name)}


def _etag(row: Dataset | DatasetVersion) -> str:
    return etag_of(row.pk, iso(row.updated_at))


def _dataset(dataset: Dataset, status: int = 200) -> Response:
    body = dataset_json(queries.summary_of(dataset))
    return Response(body, status=status, headers={"ETag": _etag(dataset)})


def _ready(version: DatasetVersion) -> DatasetVersion:
    if not version.is_ready:
        raise Conflict("dataset.not_ready", f"{version.label} has no rows to show.", {"state": version.state})
    return version


def _version(version: DatasetVersion) -> Response:
    return Response(version_json(version), headers={"ETag": _etag(version)})


class DatasetsView(ProjectAPIView):
    """The datasets of a project."""

    order_fields = queries.ORDERS
    default_order = ("-created_at",)

    @extend_schema(
        operation_id="datasets_list",
        parameters=[OpenApiParameter("q", str, description="Part of the name or description"), TRASHED],
        responses=schemas.DatasetOut(many=True),
    )
    def get(self, request: Any, project: str) -> Response:
        asked = request.query_params
        found = queries.datasets_of(
            self.project, q=asked.get("q", ""), trashed=asked.get("trashed") == "true"
        )
        paginator = KeysetPagination()
        page = paginator.paginate_queryset(found, request, view=self) or []
        return paginator.get_paginated_response([dataset_json(one) for one in queries.summaries(page)])

    @extend_schema(
        operation_id="datasets_create",
        request={"multipart/form-data": schemas.DatasetCreate},
        responses={201: schemas.DatasetOut},
    )
    def post(self, request: Any, project: str) -> Response:
        dataset = actions.create_dataset(
            actor=self.actor,
            project=self.project,
            name=_fields(request).get("name", ""),
            description=_fields(request).get("description", ""),
            staged=staged_file(request),
            options=_options(request),
        )
        return _dataset(dataset, 201)


class DatasetView(ProjectAPIView):
    """One dataset."""

    @extend_schema(operation_id="datasets_get", responses=schemas.DatasetOut)
    def get(self, request: Any, project: str, name: str) -> Response:
        return _dataset(get_visible_dataset(self.actor, self.project, name))

    @extend_schema(
        operation_id="datasets_update", request=schemas.DatasetChange, responses=schemas.DatasetOut
    )
    def patch(self, request: Any, project: str, name: str) -> Response:
        dataset = get_editable_dataset(self.actor, self.project, name)
        changes = read_fields(request, ("name", "description"))
        with unchanged(request, dataset, _etag):
            return _dataset(actions.update_dataset(actor=self.actor, dataset=dataset, **changes))

    @extend_schema(operation_id="datasets_trash", responses={204: None})
    def delete(self, request: Any, project: str, name: str) -> Response:
        actions.trash_dataset(actor=self.actor, dataset=get_editable_dataset(self.actor, self.project, name))
        return Response(status=204)


class DatasetRestoreView(ProjectAPIView):
    """Take a dataset out of the trash."""

    @extend_schema(operation_id="datasets_restore", request=None, responses=schemas.DatasetOut)
    def post(self, request: Any, project: str, name: str) -> Response:
        dataset = get_editable_dataset(self.actor, self.project, name, trashed=True)
        return _dataset(actions.restore_dataset(actor=self.actor, dataset=dataset))


class DatasetPurgeView(ProjectAPIView):
    """Remove a dataset that is in the trash for good, with its bytes."""

    write_role = Role.MAINTAINER

    @extend_schema(operation_id="datasets_purge", request=None, responses={204: None})
    def post(self, request: Any, project: str, name: str) -> Response:
        dataset = get_editable_dataset(self.actor, self.project, name, trashed=True)
        actions.purge_dataset(actor=self.actor, dataset=dataset)
        return Response(status=204)


class VersionsView(ProjectAPIView):
    """The versions of a dataset."""

    order_fields = ("number", "created_at")
    default_order = ("-number",)

    @extend_schema(
        operation_id="dataset_versions_list", parameters=[TRASHED], responses=schemas.VersionOut(many=True)
    )
    def get(self, request: Any, project: str, name: str) -> Response:
        dataset = get_visible_dataset(self.actor, self.project, name)
        found = queries.versions_of(dataset, trashed=request.query_params.get("trashed") == "true")
        paginator = KeysetPagination()
        page = paginator.paginate_queryset(found, request, view=self) or []
        return paginator.get_paginated_response([version_json(one) for one in page])

    @extend_schema(
        operation_id="dataset_versions_create",
        request={"multipart/form-data": schemas.VersionCreate},
        responses={201: schemas.VersionOut},
    )
    def post(self, request: Any, project: str, name: str) -> Response:
        dataset = get_editable_dataset(self.actor, self.project, name)
        version = actions.add_version(
            actor=self.actor, dataset=dataset, staged=staged_file(request), options=_options(request)
        )
        return Response(version_json(version), status=201)


class VersionView(ProjectAPIView):
    """One version: its number, or "latest" for the newest that is ready."""

    @extend_schema(operation_id="dataset_versions_get", responses=schemas.VersionOut)
    def get(self, request: Any, project: str, name: str, number: str) -> Response:
        return _version(get_visible_version(self.actor, self.project, name, number))

    @extend_schema(
        operation_id="dataset_versions_update", request=schemas.VersionChange, responses=schemas.VersionOut
    )
    def patch(self, request: Any, project: str, name: str, number: str) -> Response:
        version = get_editable_version(self.actor, self.project, name, number)
        changes = read_fields(request, ("description",))
        with unchanged(request, version, _etag):
            if "description" in changes:
                version = actions.describe_version(actor=self.actor, version=version, **changes)
        return _version(version)

    @extend_schema(operation_id="dataset_versions_trash", responses={204: None})
    def delete(self, request: Any, project: str, name: str, number: str) -> Response:
        actions.trash_version(
            actor=self.actor, version=get_editable_version(self.actor, self.project, name, number)
        )
        return Response(status=204)


class VersionRestoreView(ProjectAPIView):
    """Take a version out of the trash."""

    @extend_schema(operation_id="dataset_versions_restore", request=None, responses=schemas.VersionOut)
    def post(self, request: Any, project: str, name: str, number: str) -> Response:
        version = get_editable_version(self.actor, self.project, name, number, trashed=True)
        return Response(version_json(actions.restore_version(actor=self.actor, version=version)))


class VersionRetryView(ProjectAPIView):
    """Read the upload of a failed version again."""

    @extend_schema(
        operation_id="dataset_versions_retry", request=schemas.Options, responses=schemas.VersionOut
    )
    def post(self, request: Any, project: str, name: str, number: str) -> Response:
        version = get_editable_version(self.actor, self.project, name, number)
        changes = read_fields(request, (*OFFERED, "sheet"))
        again = actions.retry_version(
            actor=self.actor, version=version, options={**version.options, **changes} if changes else None
        )
        return Response(version_json(again))


class ProfileView(ProjectAPIView):
    """Statistics of every column of a ready version."""

    @extend_schema(operation_id="dataset_versions_profile", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Any, project: str, name: str, number: str) -> Response:
        version = _ready(get_visible_version(self.actor, self.project, name, number))
        return Response(profile_json(version, queries.profile_of(version)))


class PreviewView(ProjectAPIView):
    """The first rows of a ready version."""

    @extend_schema(operation_id="dataset_versions_preview", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Any, project: str, name: str, number: str) -> Response:
        version = _ready(get_visible_version(self.actor, self.project, name, number))
        profile = queries.profile_of(version)
        return Response(
            {
                "dataset": version.dataset.name,
                "version": version.number,
                **(profile.preview if profile else {}),
            }
        )


class _AnyFormat(BaseContentNegotiation):
    """`?format=` says which file is wanted, not how an error is written."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        """Nothing is sent here."""
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        """Errors leave as JSON."""
        return renderers[0], renderers[0].media_type


class DownloadView(ProjectAPIView):
    """The rows of a ready version as one file."""

    content_negotiation_class = _AnyFormat

    @extend_schema(
        operation_id="dataset_versions_download",
        parameters=[OpenApiParameter("format", str, enum=["parquet", "csv"], default="parquet")],
        responses={200: OpenApiTypes.BINARY},
    )
    def get(self, request: Any, project: str, name: str, number: str) -> HttpResponseBase:
        version = get_visible_version(self.actor, self.project, name, number)
        return download(request._request, version, request.query_params.get("format", ""))


api_urlpatterns = [
    api_path("datasets", DatasetsView.as_view(), name="datasets"),
    api_path(NAME, DatasetView.as_view(), name="dataset"),
    api_path(f"{NAME}/restore", DatasetRestoreView.as_view(), name="dataset-restore"),
    api_path(f"{NAME}/purge", DatasetPurgeView.as_view(), name="dataset-purge"),
    api_path(f"{NAME}/versions", VersionsView.as_view(), name="dataset-versions"),
    api_path(VERSION, VersionView.as_view(), name="dataset-version"),
    api_path(f"{VERSION}/restore", VersionRestoreView.as_view(), name="dataset-version-restore"),
    api_path(f"{VERSION}/retry", VersionRetryView.as_view(), name="dataset-version-retry"),
    api_path(f"{VERSION}/profile", ProfileView.as_view(), name="dataset-version-profile"),
    api_path(f"{VERSION}/preview", PreviewView.as_view(), name="dataset-version-preview"),
    api_path(f"{VERSION}/download", DownloadView.as_view(), name="dataset-version-download"),
]
