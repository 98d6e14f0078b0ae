"""REST of models, versions and promotions, below /api/v1/projects/{project}/."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from apps.accounts.api import ProjectAPIView
from apps.accounts.states import Role
from apps.experiments.access import get_visible_run
from apps.registry import actions, promoting, queries, schemas
from apps.registry.access import get_model, get_promotion, get_version
from apps.registry.models import Model, ModelVersion
from apps.registry.states import PromotionState
from foundation.api import api_path, etag_of, read_fields, unchanged
from foundation.errors import Invalid
from foundation.pagination import KeysetPagination

MODEL = r"models/(?P<model>[^/]+)"
VERSION = MODEL + r"/versions/(?P<number>[^/]+)"
TRASHED = OpenApiParameter("trashed", str, enum=["true"], description="Those in the trash")


def _etag(row: Model | ModelVersion) -> str:
    return etag_of(row.pk, row.updated_at)


def _trashed(request: Any) -> bool:
    return bool(request.query_params.get("trashed") == "true")


class _Answers(ProjectAPIView):
    def model_answer(self, model: Model, *, status: int = 200) -> Response:
        """A model with its numbers, and its ETag."""
        trashed = model.deleted_at is not None
        row = queries.models_of(self.project, trashed=trashed).get(pk=model.pk)
        headers = {"ETag": _etag(row)}
        return Response(schemas.model_json(row), status=status, headers=headers)

    @staticmethod
    def version_answer(version: ModelVersion, *, status: int = 200) -> Response:
        """A version and its ETag."""
        headers = {"ETag": _etag(version)}
        return Response(schemas.version_json(version), status=status, headers=headers)


class ModelsView(_Answers):
    """The models of a project."""

    order_fields = ("name", "created_at", "updated_at")
    default_order = ("name",)

    @extend_schema(
        operation_id="models_list",
        parameters=[OpenApiParameter("q", str, description="Part of the name"), TRASHED],
        responses=schemas.ModelShape(many=True),
    )
    def get(self, request: Any, project: str) -> Response:
        q = request.query_params.get("q", "")
        pages = KeysetPagination()
        rows = queries.models_of(self.project, q=q, trashed=_trashed(request))
        found = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([schemas.model_json(row) for row in found])

    @extend_schema(
        operation_id="models_create", request=schemas.ModelCreate, responses={201: schemas.ModelShape}
    )
    def post(self, request: Any, project: str) -> Response:
        data = read_fields(request, ("name", "description"), ("name",))
        return self.model_answer(
            actions.create_model(actor=self.actor, project=self.project, **data), status=201
        )


class ModelView(_Answers):
    """One model, by name or id."""

    @extend_schema(operation_id="models_get", responses=schemas.ModelShape)
    def get(self, request: Any, project: str, model: str) -> Response:
        return self.model_answer(get_model(self.project, model))

    @extend_schema(operation_id="models_update", request=schemas.ModelChange, responses=schemas.ModelShape)
    def patch(self, request: Any, project: str, model: str) -> Response:
        found = get_model(self.project, model)
        changes = read_fields(request, ("name", "description"))
        with unchanged(request, found, _etag):
            return self.model_answer(actions.update_model(actor=self.actor, model=found, **changes))

    @extend_schema(operation_id="models_delete", responses={204: None})
    def delete(self, request: Any, project: str, model: str) -> Response:
        actions.trash_model(actor=self.actor, model=get_model(self.project, model))
        return Response(status=204)


class ModelRestoreView(_Answers):
    """A model back from the trash."""

    @extend_schema(operation_id="models_restore", request=None, responses=schemas.ModelShape)
    def post(self, request: Any, project: str, model: str) -> Response:
        found = get_model(self.project, model, trashed=True)
        return self.model_answer(actions.restore_model(actor=self.actor, model=found))


class VersionsView(_Answers):
    """The versions of a model."""

    order_fields = ("number", "created_at")
    default_order = ("-number",)

    @extend_schema(
        operation_id="model_versions_list",
        parameters=[TRASHED],
        responses=schemas.VersionShape(many=True),
    )
    def get(self, request: Any, project: str, model: str) -> Response:
        pages = KeysetPagination()
        rows = queries.versions_of(get_model(self.project, model), trashed=_trashed(request))
        found = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([schemas.version_json(row) for row in found])

    @extend_schema(
        operation_id="model_versions_create",
        request=schemas.VersionCreate,
        responses={201: schemas.VersionShape},
    )
    def post(self, request: Any, project: str, model: str) -> Response:
        found = get_model(self.project, model)
        data = read_fields(request, ("run", "logged_model", "description"), ("run",))
        run = get_visible_run(self.actor, self.project, data.pop("run"))
        version = actions.register_version(actor=self.actor, model=found, run=run, **data)
        return self.version_answer(version, status=201)


class VersionView(_Answers):
    """One version."""

    @extend_schema(operation_id="model_versions_get", responses=schemas.VersionShape)
    def get(self, request: Any, project: str, model: str, number: str) -> Response:
        return self.version_answer(get_version(get_model(self.project, model), number))

    @extend_schema(
        operation_id="model_versions_update",
        request=schemas.VersionChange,
        responses=schemas.VersionShape,
    )
    def patch(self, request: Any, project: str, model: str, number: str) -> Response:
        found = get_version(get_model(self.project, model), number)
        changes = read_fields(request, ("description",))
        with unchanged(request, found, _etag):
            if "description" in changes:
                found = actions.describe_version(actor=self.actor, version=found, **changes)
        return self.version_answer(found)

    @extend_schema(operation_id="model_versions_delete", responses={204: None})
    def delete(self, request: Any, project: str, model: str, number: str) -> Response:
        actions.trash_version(actor=self.actor, version=get_version(get_model(self.project, model), number))
        return Response(status=204)


class VersionRestoreView(_Answers):
    """A version back from the trash."""

    @extend_schema(operation_id="model_versions_restore", request=None, responses=schemas.VersionShape)
    def post(self, request: Any, project: str, model: str, number: str) -> Response:
        found = get_version(get_model(self.project, model), number, trashed=True)
        return self.version_answer(actions.restore_version(actor=self.actor, version=found))


class VersionPromotionsView(ProjectAPIView):
    """The promotions of a version."""

    order_fields = ("created_at",)

    @extend_schema(operation_id="model_version_promotions_list", responses=schemas.PromotionShape(many=True))
    def get(self, request: Any, project: str, model: str, number: str) -> Response:
        version = get_version(get_model(self.project, model), number)
        pages = KeysetPagination()
        rows = queries.promotions_of(self.project, version=version)
        found = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([schemas.promotion_json(row) for row in found])

    @extend_schema(
        operation_id="promotions_create",
        request=schemas.PromotionCreate,
        responses={201: schemas.PromotionShape},
    )
    def post(self, request: Any, project: str, model: str, number: str) -> Response:
        version = get_version(get_model(self.project, model), number)
        data = read_fields(request, ("to", "comment"), ("to",))
        made = promoting.request_promotion(actor=self.actor, version=version, **data)
        return Response(schemas.promotion_json(made), status=201)


class PromotionsView(ProjectAPIView):
    """The promotions of a project."""

    order_fields = ("created_at",)

    @extend_schema(
        operation_id="promotions_list",
        parameters=[OpenApiParameter("state", str, enum=PromotionState.values)],
        responses=schemas.PromotionShape(many=True),
    )
    def get(self, request: Any, project: str) -> Response:
        state = request.query_params.get("state", "")
        if state and state not in PromotionState.values:
            raise Invalid("list.state", f"state is one of {', '.join(PromotionState.values)}.")
        pages = KeysetPagination()
        rows = queries.promotions_of(self.project, state=state)
        found = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([schemas.promotion_json(row) for row in found])


class PromotionView(ProjectAPIView):
    """One promotion."""

    @extend_schema(operation_id="promotions_get", responses=schemas.PromotionShape)
    def get(self, request: Any, project: str, promotion: str) -> Response:
        return Response(schemas.promotion_json(get_promotion(self.project, promotion)))


class PromotionApproveView(ProjectAPIView):
    """Approve a promotion: the alias moves. A maintainer's decision."""

    write_role = Role.MAINTAINER

    @extend_schema(
        operation_id="promotions_approve", request=schemas.Decision, responses=schemas.PromotionShape
    )
    def post(self, request: Any, project: str, promotion: str) -> Response:
        found = get_promotion(self.project, promotion)
        data = read_fields(request, ("comment",))
        return Response(schemas.promotion_json(promoting.approve(actor=self.actor, promotion=found, **data)))


class PromotionRejectView(ProjectAPIView):
    """Reject a promotion: a maintainer's decision, or, to withdraw it, the requester's."""

    @extend_schema(
        operation_id="promotions_reject", request=schemas.Decision, responses=schemas.PromotionShape
    )
    def post(self, request: Any, project: str, promotion: str) -> Response:
        found = get_promotion(self.project, promotion)
        data = read_fields(request, ("comment",))
        return Response(schemas.promotion_json(promoting.reject(actor=self.actor, promotion=found, **data)))


class AliasView(_Answers):
    """Release `staging` or `production`: no version holds it then. A maintainer's decision."""

    write_role = Role.MAINTAINER

    @extend_schema(operation_id="models_release_alias", responses={204: None})
    def delete(self, request: Any, project: str, model: str, alias: str) -> Response:
        promoting.release_alias(actor=self.actor, model=get_model(self.project, model), alias=alias)
        return Response(status=204)


api_urlpatterns = [
    api_path("models", ModelsView.as_view(), name="models"),
    api_path(MODEL, ModelView.as_view(), name="model"),
    api_path(MODEL + r"/restore", ModelRestoreView.as_view(), name="model-restore"),
    api_path(MODEL + r"/aliases/(?P<alias>[^/]+)", AliasView.as_view(), name="model-alias"),
    api_path(MODEL + r"/versions", VersionsView.as_view(), name="model-versions"),
    api_path(VERSION, VersionView.as_view(), name="model-version"),
    api_path(VERSION + r"/restore", VersionRestoreView.as_view(), name="model-version-restore"),
    api_path(VERSION + r"/promotions", VersionPromotionsView.as_view(), name="model-version-promotions"),
    api_path("promotions", PromotionsView.as_view(), name="promotions"),
    api_path(r"promotions/(?P<promotion>[^/]+)", PromotionView.as_view(), name="promotion"),
    api_path(
        r"promotions/(?P<promotion>[^/]+)/approve", PromotionApproveView.as_view(), name="promotion-approve"
    ),
    api_path(
        r"promotions/(?P<promotion>[^/]+)/reject", PromotionRejectView.as_view(), name="promotion-reject"
    ),
]
