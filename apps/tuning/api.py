"""REST of studies and trials, below /api/v1/projects/{project}/."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from apps.accounts.api import ProjectAPIView
from apps.accounts.api_base import checked
from apps.experiments import queries as runs
from apps.experiments import schemas as run_schemas
from apps.experiments.presenting import run_json
from apps.tuning import actions, charts, queries, schemas
from apps.tuning.access import get_study, get_trial, get_trial_of_run
from apps.tuning.importances import METHOD
from apps.tuning.models import Study
from apps.tuning.reading import importances_of_study
from apps.tuning.reporting import check_reporter, record_report
from apps.tuning.spec import parse_study
from apps.tuning.states import StudyState, TrialState
from foundation.api import api_path, etag_of, read_fields, unchanged
from foundation.pagination import KeysetPagination

FIGURES = {
    "history": charts.history_figure,
    "importances": charts.importances_figure,
    "parallel": charts.parallel_figure,
}
STUDY = r"studies/(?P<name>[^/]+)"


def _etag(study: Study) -> str:
    return etag_of(study.pk, study.updated_at)


def _shown(study: Study) -> dict[str, Any]:
    found = queries.counted(Study.objects.filter(pk=study.pk)).get()
    return schemas.study_json(found, queries.best_trials([found]).get(found.pk))


def _answer(study: Study, *, status: int = 200) -> Response:
    study.refresh_from_db(fields=["updated_at"])
    return Response(_shown(study), status=status, headers={"ETag": _etag(study)})


class StudiesView(ProjectAPIView):
    """The studies of a project."""

    order_fields = ("created_at", "name", "state")

    @extend_schema(
        operation_id="studies_list",
        parameters=[
            OpenApiParameter("q", str, description="Part of the name"),
            OpenApiParameter("state", str, enum=StudyState.values),
            OpenApiParameter("trashed", str, enum=["true"], description="Those in the trash"),
        ],
        responses=schemas.StudyShape(many=True),
    )
    def get(self, request: Any, project: str) -> Response:
        asked = request.query_params
        rows = queries.studies_of(
            self.project,
            q=asked.get("q", ""),
            state=asked.get("state", ""),
            trashed=asked.get("trashed") == "true",
        )
        paginator = KeysetPagination()
        page = paginator.paginate_queryset(rows, request, view=self) or []
        best = queries.best_trials(page)
        return paginator.get_paginated_response([schemas.study_json(s, best.get(s.pk)) for s in page])

    @extend_schema(
        operation_id="studies_create", request=schemas.StudyCreate, responses={201: schemas.StudyShape}
    )
    def post(self, request: Any, project: str) -> Response:
        spec = parse_study(request.data, actor=self.actor, project=self.project)
        made = actions.create_study(actor=self.actor, project=self.project, spec=spec)
        return _answer(made, status=201)


class StudyView(ProjectAPIView):
    """One study."""

    @extend_schema(operation_id="studies_get", responses=schemas.StudyShape)
    def get(self, request: Any, project: str, name: str) -> Response:
        return _answer(get_study(self.project, name))

    @extend_schema(operation_id="studies_change", request=schemas.StudyChange, responses=schemas.StudyShape)
    def patch(self, request: Any, project: str, name: str) -> Response:
        study = get_study(self.project, name)
        changes = read_fields(request, actions.CHANGES)
        with unchanged(request, study, _etag):
            actions.update_study(actor=self.actor, study=study, changes=changes)
        return _answer(study)

    @extend_schema(operation_id="studies_trash", responses={204: None})
    def delete(self, request: Any, project: str, name: str) -> Response:
        study = get_study(self.project, name)
        with unchanged(request, study, _etag):
            actions.trash_study(actor=self.actor, study=study)
        return Response(status=204)


class StudyRestoreView(ProjectAPIView):
    """A study back out of the trash."""

    @extend_schema(operation_id="studies_restore", request=None, responses=schemas.StudyShape)
    def post(self, request: Any, project: str, name: str) -> Response:
        return _answer(
            actions.restore_study(actor=self.actor, study=get_study(self.project, name, trashed=True))
        )


class StudyStopView(ProjectAPIView):
    """No further trial."""

    @extend_schema(operation_id="studies_stop", request=schemas.StudyStop, responses=schemas.StudyShape)
    def post(self, request: Any, project: str, name: str) -> Response:
        study = get_study(self.project, name)
        asked = checked(schemas.StudyStop, request)
        return _answer(actions.stop_study(actor=self.actor, study=study, cancel=asked["cancel"]))


class StudyResumeView(ProjectAPIView):
    """On with a study that is over."""

    @extend_schema(operation_id="studies_resume", request=schemas.StudyResume, responses=schemas.StudyShape)
    def post(self, request: Any, project: str, name: str) -> Response:
        study = get_study(self.project, name)
        asked = checked(schemas.StudyResume, request)
        return _answer(actions.resume_study(actor=self.actor, study=study, n_trials=asked["n_trials"]))


class FinalRunView(ProjectAPIView):
    """The best parameters, trained as an ordinary run."""

    @extend_schema(
        operation_id="studies_final_run", request=schemas.FinalRun, responses={201: run_schemas.Run}
    )
    def post(self, request: Any, project: str, name: str) -> Response:
        study = get_study(self.project, name)
        asked = checked(schemas.FinalRun, request)
        trial = None if asked["trial"] is None else get_trial(study, asked["trial"])
        run = actions.train_final(actor=self.actor, study=study, trial=trial, name=asked["name"])
        return Response(run_json(runs.row_of(run), full=True), status=201)


class TrialsView(ProjectAPIView):
    """The trials of a study."""

    order_fields = ("number", "value", "created_at")
    default_order: ClassVar[tuple[str, ...]] = ("number",)

    @extend_schema(
        operation_id="studies_trials_list",
        parameters=[
            OpenApiParameter("state", str, enum=TrialState.values),
        ],
        description="Ordered by value, only trials that have one are listed.",
        responses=schemas.TrialShape(many=True),
    )
    def get(self, request: Any, project: str, name: str) -> Response:
        rows = queries.trials_of(get_study(self.project, name), state=request.query_params.get("state", ""))
        if "value" in request.query_params.get("order_by", ""):
            rows = rows.filter(value__isnull=False)
        paginator = KeysetPagination()
        page = paginator.paginate_queryset(rows, request, view=self) or []
        return paginator.get_paginated_response([schemas.trial_json(trial) for trial in page])


class TrialView(ProjectAPIView):
    """One trial."""

    @extend_schema(operation_id="studies_trials_get", responses=schemas.TrialShape)
    def get(self, request: Any, project: str, name: str, number: str) -> Response:
        return Response(schemas.trial_json(get_trial(get_study(self.project, name), number)))


class ImportancesView(ProjectAPIView):
    """How much each parameter decided about good values."""

    @extend_schema(operation_id="studies_importances", responses=schemas.ImportancesShape)
    def get(self, request: Any, project: str, name: str) -> Response:
        study = get_study(self.project, name)
        found = importances_of_study(study)
        if found is not None:
            return Response(found.as_json())
        complete = study.trials.filter(state=TrialState.COMPLETE).count()
        return Response({"method": METHOD, "trials": complete, "importances": {}})


class FigureView(ProjectAPIView):
    """A figure of a study as Plotly JSON."""

    @extend_schema(operation_id="studies_figure", responses=OpenApiTypes.OBJECT)
    def get(self, request: Any, project: str, name: str, figure: str) -> Response:
        return Response(FIGURES[figure](get_study(self.project, name)))


class ReportsView(ProjectAPIView):
    """What a trial at work reports: only its own job may."""

    @extend_schema(operation_id="trials_report", request=schemas.ReportShape, responses=schemas.ReportAnswer)
    def post(self, request: Any, project: str, run: str) -> Response:
        asked = read_fields(request, ("step", "value"), ("value",))
        trial = get_trial_of_run(self.project, run)
        check_reporter(self.actor, trial)
        return Response(record_report(trial=trial, step=asked.get("step"), value=asked["value"]))


api_urlpatterns = [
    api_path("studies", StudiesView.as_view(), name="studies"),
    api_path(STUDY, StudyView.as_view(), name="study"),
    api_path(rf"{STUDY}/restore", StudyRestoreView.as_view(), name="study-restore"),
    api_path(rf"{STUDY}/stop", StudyStopView.as_view(), name="study-stop"),
    api_path(rf"{STUDY}/resume", StudyResumeView.as_view(), name="study-resume"),
    api_path(rf"{STUDY}/final-run", FinalRunView.as_view(), name="study-final-run"),
    api_path(rf"{STUDY}/trials", TrialsView.as_view(), name="study-trials"),
    api_path(rf"{STUDY}/trials/(?P<number>[^/]+)", TrialView.as_view(), name="study-trial"),
    api_path(rf"{STUDY}/importances", ImportancesView.as_view(), name="study-importances"),
    api_path(rf"{STUDY}/figures/(?P<figure>{'|'.join(FIGURES)})", FigureView.as_view(), name="study-figure"),
    api_path(r"trials/(?P<run>[^/]+)/reports", ReportsView.as_view(), name="trial-reports"),
]
