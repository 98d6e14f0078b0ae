"""REST: schedules of a project, their firings, and the next times of an expression."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.actions import check_timezone
from apps.accounts.api_base import ProjectAPIView
from apps.jobs.schedules import actions, queries
from apps.jobs.schedules.access import get_schedule
from apps.jobs.schedules.cron import check_cron
from apps.jobs.schedules.models import Schedule
from apps.jobs.schedules.registry import Kind, kind_of_noun, known_kinds
from apps.jobs.schedules.schemas import (
    FiringSerializer,
    PreviewSerializer,
    ScheduleChange,
    ScheduleCreate,
    ScheduleSerializer,
)
from foundation.api import api_path, etag_of, read_fields, unchanged
from foundation.errors import Invalid
from foundation.pagination import KeysetPagination


def _etag(schedule: Schedule) -> str:
    return etag_of(schedule.pk, schedule.updated_at)


def _shown(schedule: Schedule) -> dict[str, Any]:
    """The schedule as the API shows it, read anew."""
    row = queries.schedules_of(schedule.project).get(pk=schedule.pk)
    return dict(ScheduleSerializer(queries.views_of([row])[0]).data)


def _whole(schedule: Schedule, status: int = 200) -> Response:
    schedule.refresh_from_db(fields=["updated_at"])
    return Response(_shown(schedule), status=status, headers={"ETag": _etag(schedule)})


def _kind(asked: dict[str, Any]) -> tuple[Kind, str]:
    """The kind and the name of what a body wants to be started."""
    nouns = [kind.noun for kind in known_kinds()]
    named = [noun for noun in nouns if noun in asked]
    if len(named) != 1:
        raise Invalid(
            "schedule.subject", f"Name what to start, one of: {', '.join(nouns)}.", {"field": nouns[0]}
        )
    kind, name = kind_of_noun(named[0]), asked.pop(named[0])
    if kind is None or not isinstance(name, str):
        raise Invalid("schedule.subject", f"{named[0]} is a name.", {"field": named[0]})
    return kind, name


class SchedulesView(ProjectAPIView):
    """The schedules of a project."""

    order_fields = ("created_at", "next_due")

    @extend_schema(
        operation_id="schedules_list",
        tags=["schedules"],
        parameters=[
            OpenApiParameter("pipeline", str, description="Only those of this pipeline."),
            OpenApiParameter("monitor", str, description="Only those of this monitor."),
        ],
        responses=ScheduleSerializer(many=True),
    )
    def get(self, request: Request, project: str) -> Response:
        """List them."""
        rows = queries.schedules_of(self.project)
        for kind in known_kinds():
            if name := request.query_params.get(kind.noun):
                subject = kind.handler.find(self.project, name)
                rows = queries.schedules_of(self.project, kind=kind.name, subject_id=subject.key)
        paginator = KeysetPagination()
        page = paginator.paginate_queryset(rows, request, view=self) or []
        return paginator.get_paginated_response(ScheduleSerializer(queries.views_of(page), many=True).data)

    @extend_schema(
        operation_id="schedules_create",
        tags=["schedules"],
        request=ScheduleCreate,
        responses={201: ScheduleSerializer},
    )
    def post(self, request: Request, project: str) -> Response:
        """Make one."""
        nouns = tuple(kind.noun for kind in known_kinds())
        asked = read_fields(
            request, (*nouns, "cron", "timezone", "parameters", "enabled", "catch_up"), required=("cron",)
        )
        kind, name = _kind(asked)
        schedule = actions.create_schedule(
            actor=self.actor, project=self.project, kind=kind, subject=name, **asked
        )
        return _whole(schedule, 201)


class ScheduleItemView(ProjectAPIView):
    """One schedule."""

    @extend_schema(operation_id="schedules_get", tags=["schedules"], responses=ScheduleSerializer)
    def get(self, request: Request, project: str, schedule: str) -> Response:
        """Fetch it."""
        return _whole(get_schedule(self.project, schedule))

    @extend_schema(
        operation_id="schedules_change",
        tags=["schedules"],
        request=ScheduleChange,
        responses=ScheduleSerializer,
    )
    def patch(self, request: Request, project: str, schedule: str) -> Response:
        """Change it; from then on it acts in your name."""
        found = get_schedule(self.project, schedule)
        changes = read_fields(request, actions.CHANGEABLE)
        with unchanged(request, found, _etag):
            found = actions.update_schedule(actor=self.actor, schedule=found, changes=changes)
        return _whole(found)

    @extend_schema(operation_id="schedules_delete", tags=["schedules"], responses={204: None})
    def delete(self, request: Request, project: str, schedule: str) -> Response:
        """Remove it; what it started stays."""
        actions.delete_schedule(actor=self.actor, schedule=get_schedule(self.project, schedule))
        return Response(status=204)


class FiringsView(ProjectAPIView):
    """What came of a schedule's due times, newest first."""

    order_fields = ("due",)
    default_order = ("-due",)

    @extend_schema(
        operation_id="schedule_firings_list", tags=["schedules"], responses=FiringSerializer(many=True)
    )
    def get(self, request: Request, project: str, schedule: str) -> Response:
        """List them."""
        paginator = KeysetPagination()
        page = paginator.paginate_queryset(
            get_schedule(self.project, schedule).firings.all(), request, view=self
        )
        return paginator.get_paginated_response(FiringSerializer(page, many=True).data)


class PreviewView(ProjectAPIView):
    """The next five times of an expression."""

    @extend_schema(
        operation_id="schedules_preview",
        tags=["schedules"],
        parameters=[
            OpenApiParameter("cron", str, required=True, description="Five fields."),
            OpenApiParameter("timezone", str, description="Default: the project's."),
        ],
        responses=PreviewSerializer,
    )
    def get(self, request: Request, project: str) -> Response:
        """Compute them."""
        cron = check_cron(request.query_params.get("cron", ""))
        zone = check_timezone(request.query_params.get("timezone") or self.project.timezone)
        shown = {"cron": cron, "timezone": zone, "times": queries.shown_times(cron, zone)}
        return Response(PreviewSerializer(shown).data)


_ONE = r"schedules/(?P<schedule>[^/]+)"
api_urlpatterns = [
    api_path(r"schedules", SchedulesView.as_view(), name="schedules"),
    api_path(r"schedules/preview", PreviewView.as_view(), name="schedules-preview"),
    api_path(_ONE, ScheduleItemView.as_view(), name="schedule"),
    api_path(rf"{_ONE}/firings", FiringsView.as_view(), name="schedule-firings"),
]
