"""REST: pipelines, the versions of their definitions, their runs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from apps.accounts.api_base import ProjectAPIView, checked, paged
from apps.pipelines import actions, queries
from apps.pipelines import nodes as kinds
from apps.pipelines.access import get_pipeline, get_pipeline_run, get_pipeline_version
from apps.pipelines.definition import read_definition
from apps.pipelines.models import Pipeline, PipelineRun
from apps.pipelines.reading import read_text
from apps.pipelines.schemas import (
    DefinitionBody,
    GraphShape,
    KindShape,
    PipelineChange,
    PipelineDetail,
    PipelineRunDetail,
    PipelineRunSerializer,
    PipelineSerializer,
    RunAgain,
    RunStart,
    Validated,
    VersionDetail,
    VersionSerializer,
    validated_json,
)
from apps.pipelines.states import PipelineRunState
from foundation.api import api_path, etag_of, unchanged
from foundation.errors import Invalid, Malformed

STATE = OpenApiParameter("state", str, enum=PipelineRunState.values)


def _shown(pipeline: Pipeline) -> dict[str, Any]:
    """The pipeline as the API shows it, read anew."""
    rows = queries.pipelines_of(pipeline.project, trashed=pipeline.deleted_at is not None)
    return dict(PipelineDetail(rows.get(pk=pipeline.pk)).data)


def _etag(pipeline: Pipeline) -> str:
    return etag_of(pipeline.pk, pipeline.updated_at)


def _state(request: Any) -> str:
    given: str = request.query_params.get("state", "")
    if given and given not in PipelineRunState.values:
        raise Invalid(
            "list.state", f"For pipeline runs, state is one of {', '.join(PipelineRunState.values)}."
        )
    return given


def _definition_text(request: Any) -> Any:
    """The body as it was sent, so that errors can name line and column. Raises Malformed when it is no JSON."""
    raw = request._request.body
    value = request.data if not _is_json(request) else None
    if value is not None:
        return value
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed("request.malformed", "The body cannot be read: it is not UTF-8.") from error
    try:
        read_text(text)
    except Invalid as error:
        if error.code == "pipeline.not_json":
            raise Malformed("request.malformed", error.message, error.detail) from error
        raise
    return text


def _is_json(request: Any) -> bool:
    return str(request.content_type or "").split(";")[0].strip() == "application/json"


def _answer(run: PipelineRun, *, status: int = 200) -> Response:
    found = queries.with_results(run.pipeline.runs.filter(pk=run.pk)).get()
    return Response(PipelineRunDetail(found).data, status=status)


class PipelinesView(ProjectAPIView):
    """The pipelines of a project."""

    order_fields = ("created_at", "name", "updated_at")

    @extend_schema(
        operation_id="pipelines_list",
        parameters=[
            OpenApiParameter("q", str, description="Part of the name or the description"),
            OpenApiParameter("trashed", str, enum=["true"], description="Those in the trash"),
        ],
        responses=PipelineSerializer(many=True),
    )
    def get(self, request: Any, **kwargs: Any) -> Response:
        asked = request.query_params
        trashed = asked.get("trashed") == "true"
        rows = queries.pipelines_of(self.project, q=asked.get("q", ""), trashed=trashed)
        return paged(self, rows, PipelineSerializer)

    @extend_schema(operation_id="pipelines_create", request=DefinitionBody, responses={201: PipelineDetail})
    def post(self, request: Any, **kwargs: Any) -> Response:
        pipeline = actions.create_pipeline(
            actor=self.actor, project=self.project, definition=_definition_text(request)
        )
        return Response(_shown(pipeline), status=201, headers={"ETag": _etag(pipeline)})


class PipelineValidateView(ProjectAPIView):
    """Whether a definition could be kept; nothing is."""

    reads_by_post = True

    @extend_schema(operation_id="pipelines_validate", request=DefinitionBody, responses=Validated)
    def post(self, request: Any, **kwargs: Any) -> Response:
        return Response(validated_json(read_definition(_definition_text(request))))


class PipelineView(ProjectAPIView):
    """One pipeline."""

    @extend_schema(operation_id="pipelines_get", responses=PipelineDetail)
    def get(self, request: Any, name: str, **kwargs: Any) -> Response:
        pipeline = get_pipeline(self.project, name)
        return Response(_shown(pipeline), headers={"ETag": _etag(pipeline)})

    @extend_schema(operation_id="pipelines_change", request=PipelineChange, responses=PipelineDetail)
    def patch(self, request: Any, name: str, **kwargs: Any) -> Response:
        pipeline = get_pipeline(self.project, name)
        changes = checked(PipelineChange, request)
        with unchanged(request, pipeline, _etag):
            pipeline = actions.update_pipeline(actor=self.actor, pipeline=pipeline, **changes)
        return Response(_shown(pipeline), headers={"ETag": _etag(pipeline)})

    @extend_schema(operation_id="pipelines_trash", responses={204: None})
    def delete(self, request: Any, name: str, **kwargs: Any) -> Response:
        actions.trash_pipeline(actor=self.actor, pipeline=get_pipeline(self.project, name))
        return Response(status=204)


class PipelineRestoreView(ProjectAPIView):
    """A pipeline back out of the trash."""

    @extend_schema(operation_id="pipelines_restore", request=None, responses=PipelineDetail)
    def post(self, request: Any, name: str, **kwargs: Any) -> Response:
        pipeline = get_pipeline(self.project, name, trashed=True)
        return Response(_shown(actions.restore_pipeline(actor=self.actor, pipeline=pipeline)))


class PipelineVersionsView(ProjectAPIView):
    """The definitions of a pipeline."""

    order_fields = ("number", "created_at")
    default_order = ("-number",)

    @extend_schema(operation_id="pipeline_versions_list", responses=VersionSerializer(many=True))
    def get(self, request: Any, name: str, **kwargs: Any) -> Response:
        return paged(self, queries.versions_of(get_pipeline(self.project, name)), VersionSerializer)


class PipelineVersionView(ProjectAPIView):
    """One definition."""

    @extend_schema(operation_id="pipeline_versions_get", responses=VersionDetail)
    def get(self, request: Any, name: str, version: str, **kwargs: Any) -> Response:
        found = get_pipeline_version(get_pipeline(self.project, name), version)
        return Response(VersionDetail(queries.versions_of(found.pipeline).get(pk=found.pk)).data)


class PipelineGraphView(ProjectAPIView):
    """The newest definition as a layered graph."""

    @extend_schema(operation_id="pipelines_graph", responses=GraphShape)
    def get(self, request: Any, name: str, **kwargs: Any) -> Response:
        pipeline = get_pipeline(self.project, name)
        assert pipeline.latest is not None
        pipeline.latest.pipeline = pipeline
        return Response(queries.graph_of(queries.definition_of(pipeline.latest)))


class PipelineRunsView(ProjectAPIView):
    """The runs of a pipeline."""

    order_fields = ("created_at", "number")
    default_order = ("-number",)

    @extend_schema(
        operation_id="pipeline_runs_list", parameters=[STATE], responses=PipelineRunSerializer(many=True)
    )
    def get(self, request: Any, name: str, **kwargs: Any) -> Response:
        rows = queries.runs_of(get_pipeline(self.project, name), state=_state(request))
        return paged(self, rows, PipelineRunSerializer)

    @extend_schema(operation_id="pipeline_runs_create", request=RunStart, responses={201: PipelineRunDetail})
    def post(self, request: Any, name: str, **kwargs: Any) -> Response:
        run = actions.start_pipeline_run(
            actor=self.actor, pipeline=get_pipeline(self.project, name), **checked(RunStart, request)
        )
        return _answer(run, status=201)


class PipelineRunView(ProjectAPIView):
    """One run with a state per node."""

    @extend_schema(operation_id="pipeline_runs_get", responses=PipelineRunDetail)
    def get(self, request: Any, name: str, run: str, **kwargs: Any) -> Response:
        return _answer(get_pipeline_run(get_pipeline(self.project, name), run))


class PipelineRunGraphView(ProjectAPIView):
    """The graph of a run: that of the version it executes, with states."""

    @extend_schema(operation_id="pipeline_runs_graph", responses=GraphShape)
    def get(self, request: Any, name: str, run: str, **kwargs: Any) -> Response:
        found = get_pipeline_run(get_pipeline(self.project, name), run)
        found.version.pipeline = found.pipeline
        return Response(queries.graph_of(queries.definition_of(found.version), queries.nodes_of(found)))


class PipelineRunCancelView(ProjectAPIView):
    """Stop a run."""

    @extend_schema(operation_id="pipeline_runs_cancel", request=None, responses=PipelineRunDetail)
    def post(self, request: Any, name: str, run: str, **kwargs: Any) -> Response:
        found = get_pipeline_run(get_pipeline(self.project, name), run)
        return _answer(actions.cancel_pipeline_run(actor=self.actor, run=found))


class PipelineRunAgainView(ProjectAPIView):
    """Repeat a run, from what failed or from the start."""

    @extend_schema(operation_id="pipeline_runs_rerun", request=RunAgain, responses={201: PipelineRunDetail})
    def post(self, request: Any, name: str, run: str, **kwargs: Any) -> Response:
        asked = checked(RunAgain, request)
        found = get_pipeline_run(get_pipeline(self.project, name), run)
        again = actions.rerun(
            actor=self.actor, run=found, since=asked["from"], latest=asked["definition"] == "latest"
        )
        return _answer(again, status=201)


class ProjectPipelineRunsView(ProjectAPIView):
    """The runs of every pipeline of a project."""

    order_fields = ("created_at",)

    @extend_schema(
        operation_id="project_pipeline_runs_list",
        parameters=[STATE],
        responses=PipelineRunSerializer(many=True),
    )
    def get(self, request: Any, **kwargs: Any) -> Response:
        return paged(self, queries.runs_in(self.project, state=_state(request)), PipelineRunSerializer)


class NodeKindsView(ProjectAPIView):
    """The kinds of nodes, with their fields and outputs."""

    @extend_schema(operation_id="pipeline_node_kinds", responses=KindShape(many=True))
    def get(self, request: Any, **kwargs: Any) -> Response:
        return Response([kind.as_json() for kind in kinds.every().values()])


_PIPELINE = r"pipelines/(?P<name>[^/]+)"
_RUN = _PIPELINE + r"/runs/(?P<run>[^/]+)"

api_urlpatterns = [
    api_path(r"pipelines", PipelinesView.as_view(), name="pipelines"),
    api_path(r"pipelines/validate", PipelineValidateView.as_view(), name="pipelines-validate"),
    api_path(r"pipeline-runs", ProjectPipelineRunsView.as_view(), name="project-pipeline-runs"),
    api_path(r"pipeline-node-kinds", NodeKindsView.as_view(), name="pipeline-node-kinds"),
    api_path(_PIPELINE, PipelineView.as_view(), name="pipeline"),
    api_path(_PIPELINE + r"/restore", PipelineRestoreView.as_view(), name="pipeline-restore"),
    api_path(_PIPELINE + r"/graph", PipelineGraphView.as_view(), name="pipeline-graph"),
    api_path(_PIPELINE + r"/versions", PipelineVersionsView.as_view(), name="pipeline-versions"),
    api_path(
        _PIPELINE + r"/versions/(?P<version>[^/]+)", PipelineVersionView.as_view(), name="pipeline-version"
    ),
    api_path(_PIPELINE + r"/runs", PipelineRunsView.as_view(), name="pipeline-runs"),
    api_path(_RUN, PipelineRunView.as_view(), name="pipeline-run"),
    api_path(_RUN + r"/graph", PipelineRunGraphView.as_view(), name="pipeline-run-graph"),
    api_path(_RUN + r"/cancel", PipelineRunCancelView.as_view(), name="pipeline-run-cancel"),
    api_path(_RUN + r"/rerun", PipelineRunAgainView.as_view(), name="pipeline-run-rerun"),
]
