"""REST: monitors, their reports and alerts."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from apps.accounts.api import ProjectAPIView, checked, paged
from apps.monitoring import actions, queries
from apps.monitoring.access import get_alert, get_monitor, get_report
from apps.monitoring.models import Monitor
from apps.monitoring.schemas import (
    AlertChange,
    AlertSerializer,
    MonitorChange,
    MonitorCreate,
    MonitorSerializer,
    ReportCreate,
    ReportDetail,
    ReportSerializer,
)
from apps.monitoring.states import AlertState, ReportState
from foundation.api import api_path, etag_of, unchanged
from foundation.errors import Invalid


def _shown(monitor: Monitor) -> dict[str, Any]:
    """The monitor as the API shows it, read anew with its state."""
    found = queries.monitors_of(monitor.project, trashed=monitor.deleted_at is not None).get(pk=monitor.pk)
    return dict(MonitorSerializer(found).data)


def _etag(monitor: Monitor) -> str:
    return etag_of(monitor.pk, monitor.updated_at)


def _state(given: str, allowed: Any, what: str) -> str:
    if given and given not in allowed.values:
        raise Invalid("list.state", f"For {what}s, state is one of {', '.join(allowed.values)}.")
    return given


class MonitorsView(ProjectAPIView):
    """The monitors of a project."""

    order_fields = ("created_at", "name", "updated_at")

    @extend_schema(
        operation_id="monitors_list",
        parameters=[
            OpenApiParameter("q", str, description="Part of the name"),
            OpenApiParameter("trashed", str, enum=["true"], description="Those in the trash"),
        ],
        responses=MonitorSerializer(many=True),
    )
    def get(self, request: Any, **kwargs: Any) -> Response:
        asked = request.query_params
        trashed = asked.get("trashed") == "true"
        return paged(
            self, queries.monitors_of(self.project, q=asked.get("q", ""), trashed=trashed), MonitorSerializer
        )

    @extend_schema(operation_id="monitors_create", request=MonitorCreate, responses={201: MonitorSerializer})
    def post(self, request: Any, **kwargs: Any) -> Response:
        monitor = actions.create_monitor(
            actor=self.actor, project=self.project, **checked(MonitorCreate, request)
        )
        return Response(_shown(monitor), status=201)


class MonitorView(ProjectAPIView):
    """One monitor."""

    @extend_schema(operation_id="monitors_get", responses=MonitorSerializer)
    def get(self, request: Any, name: str, **kwargs: Any) -> Response:
        monitor = get_monitor(self.project, name)
        return Response(_shown(monitor), headers={"ETag": _etag(monitor)})

    @extend_schema(operation_id="monitors_change", request=MonitorChange, responses=MonitorSerializer)
    def patch(self, request: Any, name: str, **kwargs: Any) -> Response:
        monitor = get_monitor(self.project, name)
        changes = checked(MonitorChange, request)
        with unchanged(request, monitor, _etag):
            monitor = actions.update_monitor(actor=self.actor, monitor=monitor, changes=changes)
        return Response(_shown(monitor), headers={"ETag": _etag(monitor)})

    @extend_schema(operation_id="monitors_trash", responses={204: None})
    def delete(self, request: Any, name: str, **kwargs: Any) -> Response:
        actions.trash_monitor(actor=self.actor, monitor=get_monitor(self.project, name))
        return Response(status=204)


class MonitorRestoreView(ProjectAPIView):
    """A monitor back out of the trash."""

    @extend_schema(operation_id="monitors_restore", request=None, responses=MonitorSerializer)
    def post(self, request: Any, name: str, **kwargs: Any) -> Response:
        monitor = get_monitor(self.project, name, trashed=True)
        return Response(_shown(actions.restore_monitor(actor=self.actor, monitor=monitor)))


class ReportsView(ProjectAPIView):
    """The reports of a monitor."""

    order_fields = ("created_at", "start")

    @extend_schema(
        operation_id="monitor_reports_list",
        parameters=[OpenApiParameter("state", str, enum=ReportState.values)],
        responses=ReportSerializer(many=True),
    )
    def get(self, request: Any, name: str, **kwargs: Any) -> Response:
        rows = queries.reports_of(get_monitor(self.project, name)).select_related("monitor")
        state = _state(request.query_params.get("state", ""), ReportState, "report")
        return paged(self, rows.filter(state=state) if state else rows, ReportSerializer)

    @extend_schema(
        operation_id="monitor_reports_create", request=ReportCreate, responses={201: ReportSerializer}
    )
    def post(self, request: Any, name: str, **kwargs: Any) -> Response:
        monitor = get_monitor(self.project, name)
        report = actions.request_report(actor=self.actor, monitor=monitor, **checked(ReportCreate, request))
        return Response(ReportSerializer(report).data, status=201)


class ReportView(ProjectAPIView):
    """One report with its windows."""

    @extend_schema(operation_id="monitor_reports_get", responses=ReportDetail)
    def get(self, request: Any, name: str, report: str, **kwargs: Any) -> Response:
        return Response(ReportDetail(get_report(get_monitor(self.project, name), report)).data)


class AlertsView(ProjectAPIView):
    """The alerts of a monitor."""

    order_fields = ("created_at", "start", "value", "feature")
    default_order = ("-start",)

    @extend_schema(
        operation_id="monitor_alerts_list",
        parameters=[OpenApiParameter("state", str, enum=AlertState.values)],
        responses=AlertSerializer(many=True),
    )
    def get(self, request: Any, name: str, **kwargs: Any) -> Response:
        monitor = get_monitor(self.project, name)
        state = _state(request.query_params.get("state", ""), AlertState, "alert")
        return paged(self, queries.alerts_of(monitor, state=state), AlertSerializer)


class AlertView(ProjectAPIView):
    """One alert."""

    @extend_schema(operation_id="monitor_alerts_get", responses=AlertSerializer)
    def get(self, request: Any, name: str, alert: str, **kwargs: Any) -> Response:
        return Response(AlertSerializer(get_alert(get_monitor(self.project, name), alert)).data)


class _AlertMove(ProjectAPIView):
    target: AlertState

    def move(self, request: Any, name: str, alert: str) -> Response:
        """Move the alert to this view's state."""
        found = get_alert(get_monitor(self.project, name), alert)
        comment = checked(AlertChange, request)["comment"]
        moved = actions.move_alert(actor=self.actor, alert=found, to=self.target, comment=comment)
        return Response(AlertSerializer(moved).data)


class AlertAcknowledgeView(_AlertMove):
    """Somebody takes care of an alert."""

    target = AlertState.ACKNOWLEDGED

    @extend_schema(operation_id="monitor_alerts_acknowledge", request=AlertChange, responses=AlertSerializer)
    def post(self, request: Any, name: str, alert: str, **kwargs: Any) -> Response:
        return self.move(request, name, alert)


class AlertCloseView(_AlertMove):
    """An alert is dealt with."""

    target = AlertState.CLOSED

    @extend_schema(operation_id="monitor_alerts_close", request=AlertChange, responses=AlertSerializer)
    def post(self, request: Any, name: str, alert: str, **kwargs: Any) -> Response:
        return self.move(request, name, alert)


_MONITOR = r"monitors/(?P<name>[^/]+)"
_ALERT = _MONITOR + r"/alerts/(?P<alert>[^/]+)"

api_urlpatterns = [
    api_path(r"monitors", MonitorsView.as_view(), name="monitors"),
    api_path(_MONITOR, MonitorView.as_view(), name="monitor"),
    api_path(_MONITOR + r"/restore", MonitorRestoreView.as_view(), name="monitor-restore"),
    api_path(_MONITOR + r"/reports", ReportsView.as_view(), name="monitor-reports"),
    api_path(_MONITOR + r"/reports/(?P<report>[^/]+)", ReportView.as_view(), name="monitor-report"),
    api_path(_MONITOR + r"/alerts", AlertsView.as_view(), name="monitor-alerts"),
    api_path(_ALERT, AlertView.as_view(), name="monitor-alert"),
    api_path(_ALERT + r"/acknowledge", AlertAcknowledgeView.as_view(), name="monitor-alert-acknowledge"),
    api_path(_ALERT + r"/close", AlertCloseView.as_view(), name="monitor-alert-close"),
]
