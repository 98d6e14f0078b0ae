"""REST of experiments, runs and algorithms, below /api/v1/projects/{project}/."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from apps.accounts.api import ProjectAPIView
from apps.experiments import actions, algorithms, artifacts, queries, schemas
from apps.experiments.access import (
    get_editable_experiment,
    get_editable_run,
    get_visible_experiment,
    get_visible_run,
)
from apps.experiments.models import Experiment, Run
from apps.experiments.presenting import experiment_json, run_json
from apps.experiments.scripts.actions import start_script
from apps.experiments.scripts.kept import list_files
from apps.experiments.scripts.received import body_of, is_script, received_code
from apps.experiments.scripts.spec import ScriptSpec, parse_script, read_json
from apps.experiments.scripts.views import code_response
from apps.experiments.spec import parse_spec
from apps.jobs.api import LogSerializer, whole_number
from apps.jobs.logs import read_log
from foundation.api import api_path, etag_of, read_fields, unchanged
from foundation.clock import iso
from foundation.errors import Invalid, NotFound
from foundation.pagination import KeysetPagination, Listing, bad_cursor, limit_of, link_to

RUN = r"runs/(?P<run>[^/]+)"
EXPERIMENT = r"experiments/(?P<experiment>[^/]+)"


def _run_etag(run: Run) -> str:
    return etag_of(run.hex, iso(run.updated_at))


def _experiment_etag(experiment: Experiment) -> str:
    return etag_of(experiment.mlflow_id, iso(experiment.updated_at))


def _answer(body: dict[str, Any], *, status: int = 200) -> Response:
    return Response(body, status=status, headers={"ETag": etag_of(body["id"], body["updated_at"])})


class AlgorithmsView(ProjectAPIView):
    """The built-in algorithms with their parameter schemas."""

    order_fields = ()

    @extend_schema(operation_id="algorithms_list", responses=schemas.Algorithm(many=True))
    def get(self, request: Any, project: str) -> Response:
        listing = Listing(algorithms.available(), key=lambda a: a.name)
        return listing.answer(request, lambda a: a.as_json())


class RunsView(ProjectAPIView):
    """The runs of a project."""

    order_fields = ("created_at", "name", "state")

    @extend_schema(
        operation_id="runs_list",
        parameters=[
            OpenApiParameter(name, OpenApiTypes.STR, description=text)
            for name, text in (
                ("experiment", "Name or id of an experiment"),
                (
                    "filter",
                    "MLflow's search grammar, e.g. metrics.accuracy > 0.9 AND params.algorithm = 'mlp'",
                ),
                ("order_by", "created_at, name, state, metrics.KEY, params.KEY; '-' or DESC for descending"),
                ("q", "Part of the name"),
                ("state", "A state of runs, such as running, failed or timed_out"),
                ("trashed", "true: those in the trash"),
            )
        ],
        responses=schemas.Run(many=True),
    )
    def get(self, request: Any, project: str) -> Response:
        asked = request.query_params
        key = asked.get("experiment")
        try:
            page = queries.find_runs(
                self.project,
                experiment=get_visible_experiment(self.actor, self.project, key) if key else None,
                filter=asked.get("filter", ""),
                order_by=asked.get("order_by", "-created_at"),
                q=asked.get("q", ""),
                state=asked.get("state", ""),
                limit=limit_of(request),
                cursor=asked.get("cursor"),
                trashed=asked.get("trashed") == "true",
            )
        except Invalid as error:
            if error.code == "tracking.cursor":
                raise bad_cursor() from error
            raise
        following = link_to(request, page.next) if page.next else None
        return Response({"results": [run_json(row) for row in page.rows], "next": following})

    @extend_schema(
        operation_id="runs_create",
        request={"application/json": schemas.RunCreate, "multipart/form-data": schemas.ScriptCreate},
        responses={201: schemas.Run},
    )
    def post(self, request: Any, project: str) -> Response:
        if is_script(request):
            run = start_script(actor=self.actor, project=self.project, spec=self._script(request))
        else:
            spec = parse_spec(request.data, actor=self.actor, project=self.project)
            run = actions.start_run(actor=self.actor, project=self.project, spec=spec)
        return _answer(run_json(queries.row_of(run), full=True), status=201)

    def _script(self, request: Any) -> ScriptSpec:
        asked = body_of(request)
        body = asked if isinstance(asked, dict) else read_json(asked)
        return parse_script(body, upload=received_code(request), actor=self.actor, project=self.project)


class RunView(ProjectAPIView):
    """One run."""

    @extend_schema(operation_id="runs_get", responses=schemas.Run)
    def get(self, request: Any, project: str, run: str) -> Response:
        found = get_visible_run(self.actor, self.project, run)
        return _answer(run_json(queries.row_of(found), full=True))

    @extend_schema(operation_id="runs_update", request=schemas.RunChange, responses=schemas.Run)
    def patch(self, request: Any, project: str, run: str) -> Response:
        found = get_editable_run(self.actor, self.project, run)
        changes = read_fields(request, ("name", "description", "tags"))
        if "tags" in changes and not isinstance(changes["tags"], dict):
            raise Invalid(
                "run.bad_field", 'The tags must be an object such as {"team": "a"}.', {"field": "tags"}
            )
        with unchanged(request, found, _run_etag):
            updated = actions.update_run(actor=self.actor, run=found, **changes)
        return _answer(run_json(queries.row_of(updated), full=True))

    @extend_schema(operation_id="runs_delete", responses={204: None})
    def delete(self, request: Any, project: str, run: str) -> Response:
        actions.trash_run(actor=self.actor, run=get_editable_run(self.actor, self.project, run))
        return Response(status=204)


class RunVerbView(ProjectAPIView):
    """What can be done to a run: cancel, trash, restore."""

    @extend_schema(operation_id="runs_verb", request=None, responses=schemas.Run)
    def post(self, request: Any, project: str, run: str, verb: str) -> Response:
        found = get_editable_run(self.actor, self.project, run, trashed=verb == "restore")
        act = {"cancel": actions.cancel_run, "trash": actions.trash_run, "restore": actions.restore_run}[verb]
        return _answer(run_json(queries.row_of(act(actor=self.actor, run=found)), full=True))


class RunMetricsView(ProjectAPIView):
    """The latest value of each metric of a run."""

    @extend_schema(operation_id="runs_metrics", responses=OpenApiTypes.OBJECT)
    def get(self, request: Any, project: str, run: str) -> Response:
        row = queries.row_of(get_visible_run(self.actor, self.project, run))
        return Response({"metrics": run_json(row)["metrics"]})


class RunMetricView(ProjectAPIView):
    """One metric of a run over its steps, thinned to at most ?points= (default 1,000)."""

    @extend_schema(
        operation_id="runs_metric",
        parameters=[OpenApiParameter("points", OpenApiTypes.INT, description="3 to 10,000")],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Any, project: str, run: str, key: str) -> Response:
        found = get_visible_run(self.actor, self.project, run)
        raw = request.query_params.get("points", "1000")
        if not raw.isascii() or not raw.isdigit() or not 3 <= int(raw) <= 10_000:
            raise Invalid("list.limit", "points is a whole number from 3 to 10000.", {"field": "points"})
        points = queries.metric_points(found, key.rstrip("/"), int(raw))
        if not points:
            raise NotFound(
                "run.no_metric", f"The run has logged no metric '{key[:120]}'.", {"metric": key[:120]}
            )
        return Response(
            {
                "key": key.rstrip("/"),
                "points": [
                    {
                        "step": p.step,
                        "timestamp": p.timestamp,
                        "value": p.value if p.value == p.value else None,
                    }
                    for p in points
                ],
            }
        )


class RunLogsView(ProjectAPIView):
    """The log of a run's job, from a byte offset. A client's run has none: it logs where it runs."""

    @extend_schema(
        operation_id="runs_logs",
        parameters=[
            OpenApiParameter("offset", OpenApiTypes.INT, description="Bytes; default 0"),
            OpenApiParameter("attempt", OpenApiTypes.INT, description="Default: the latest"),
        ],
        responses=LogSerializer,
    )
    def get(self, request: Any, project: str, run: str) -> Response:
        found = get_visible_run(self.actor, self.project, run)
        if found.job is None:
            raise NotFound("run.no_log", "This run was made by an MLflow client: its log is not here.")
        chunk = read_log(
            found.job,
            offset=whole_number(request, "offset", 0) or 0,
            attempt=whole_number(request, "attempt", None),
        )
        return Response(LogSerializer(chunk).data)


class RunCodeView(ProjectAPIView):
    """The code of a run, where it has its own: a script, a zip of all files, or one of them."""

    @extend_schema(
        operation_id="runs_code",
        parameters=[OpenApiParameter("file", OpenApiTypes.STR, description="Path of one file")],
        responses={
            (200, "text/x-python"): OpenApiTypes.BINARY,
            (200, "application/zip"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Any, project: str, run: str) -> HttpResponseBase:
        found = get_visible_run(self.actor, self.project, run)
        return code_response(found, request.query_params.get("file", ""))


class RunCodeFilesView(ProjectAPIView):
    """The files of a run's code."""

    order_fields = ()

    @extend_schema(operation_id="runs_code_files", responses=schemas.CodeFile(many=True))
    def get(self, request: Any, project: str, run: str) -> Response:
        files = list_files(get_visible_run(self.actor, self.project, run))
        return Listing(files, key=lambda file: file[0]).answer(
            request, lambda f: {"path": f[0], "size": f[1]}
        )


class RunArtifactsView(ProjectAPIView):
    """What lies in a folder (?path=) of a run's artifacts."""

    order_fields = ()

    @extend_schema(
        operation_id="runs_artifacts",
        parameters=[OpenApiParameter("path", OpenApiTypes.STR, description="Folder; empty: the top")],
        responses=schemas.ArtifactEntry(many=True),
    )
    def get(self, request: Any, project: str, run: str) -> Response:
        found = get_visible_run(self.actor, self.project, run)
        path = request.query_params.get("path", "").strip("/")
        files = artifacts.list_artifacts(found, path)
        return Listing(files, key=lambda a: a.path).answer(
            request, lambda a: {"path": a.path, "is_folder": a.is_folder, "size": a.size}
        )


class RunArtifactView(ProjectAPIView):
    """One artifact's bytes."""

    @extend_schema(
        operation_id="runs_artifact", responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}
    )
    def get(self, request: Any, project: str, run: str, path: str) -> HttpResponseBase:
        return artifacts.download(get_visible_run(self.actor, self.project, run), path.rstrip("/"))


class ExperimentsView(ProjectAPIView):
    """The experiments of a project."""

    order_fields = ("active_at", "created_at", "name")
    default_order = ("-active_at",)

    @extend_schema(
        operation_id="experiments_list",
        parameters=[OpenApiParameter("q", OpenApiTypes.STR), OpenApiParameter("trashed", OpenApiTypes.STR)],
        responses=schemas.Experiment(many=True),
    )
    def get(self, request: Any, project: str) -> Response:
        found = queries.counted_experiments(
            self.project,
            q=request.query_params.get("q", ""),
            trashed=request.query_params.get("trashed") == "true",
        )
        pages = KeysetPagination()
        rows = pages.paginate_queryset(found, request, view=self) or []
        return pages.get_paginated_response([experiment_json(queries.as_summary(row)) for row in rows])

    @extend_schema(
        operation_id="experiments_create",
        request=schemas.ExperimentChange,
        responses={201: schemas.Experiment},
    )
    def post(self, request: Any, project: str) -> Response:
        data = read_fields(request, ("name", "description"))
        made = actions.create_experiment(
            actor=self.actor,
            project=self.project,
            name=data.get("name", ""),
            description=data.get("description", ""),
        )
        return _answer(experiment_json(queries.summary_of(made)), status=201)


class ExperimentView(ProjectAPIView):
    """One experiment, by name or id."""

    @extend_schema(operation_id="experiments_get", responses=schemas.Experiment)
    def get(self, request: Any, project: str, experiment: str) -> Response:
        found = get_visible_experiment(self.actor, self.project, experiment)
        return _answer(experiment_json(queries.summary_of(found)))

    @extend_schema(
        operation_id="experiments_update", request=schemas.ExperimentChange, responses=schemas.Experiment
    )
    def patch(self, request: Any, project: str, experiment: str) -> Response:
        found = get_editable_experiment(self.actor, self.project, experiment)
        changes = read_fields(request, ("name", "description"))
        with unchanged(request, found, _experiment_etag):
            updated = actions.update_experiment(actor=self.actor, experiment=found, **changes)
        return _answer(experiment_json(queries.summary_of(updated)))

    @extend_schema(operation_id="experiments_delete", responses={204: None})
    def delete(self, request: Any, project: str, experiment: str) -> Response:
        found = get_editable_experiment(self.actor, self.project, experiment)
        actions.trash_experiment(actor=self.actor, experiment=found)
        return Response(status=204)


class ExperimentVerbView(ProjectAPIView):
    """What can be done to an experiment: trash, restore."""

    @extend_schema(operation_id="experiments_verb", request=None, responses=schemas.Experiment)
    def post(self, request: Any, project: str, experiment: str, verb: str) -> Response:
        found = get_editable_experiment(self.actor, self.project, experiment, trashed=verb == "restore")
        act = {"trash": actions.trash_experiment, "restore": actions.restore_experiment}[verb]
        return _answer(experiment_json(queries.summary_of(act(actor=self.actor, experiment=found))))


api_urlpatterns = [
    api_path(r"algorithms", AlgorithmsView.as_view(), name="algorithms"),
    api_path(r"runs", RunsView.as_view(), name="runs"),
    api_path(RUN, RunView.as_view(), name="run"),
    api_path(rf"{RUN}/(?P<verb>cancel|trash|restore)", RunVerbView.as_view(), name="run-verb"),
    api_path(rf"{RUN}/logs", RunLogsView.as_view(), name="run-logs"),
    api_path(rf"{RUN}/code", RunCodeView.as_view(), name="run-code"),
    api_path(rf"{RUN}/code/files", RunCodeFilesView.as_view(), name="run-code-files"),
    api_path(rf"{RUN}/metrics", RunMetricsView.as_view(), name="run-metrics"),
    api_path(rf"{RUN}/metrics/(?P<key>.+?)", RunMetricView.as_view(), name="run-metric"),
    api_path(rf"{RUN}/artifacts", RunArtifactsView.as_view(), name="run-artifacts"),
    api_path(rf"{RUN}/artifacts/(?P<path>.+?)", RunArtifactView.as_view(), name="run-artifact"),
    api_path(r"experiments", ExperimentsView.as_view(), name="experiments"),
    api_path(EXPERIMENT, ExperimentView.as_view(), name="experiment"),
    api_path(rf"{EXPERIMENT}/(?P<verb>trash|restore)", ExperimentVerbView.as_view(), name="experiment-verb"),
]
