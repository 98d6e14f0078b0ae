"""Which monitors, reports and alerts reach a request: those of a visible project. Anything else is NotFound."""

from __future__ import annotations

from uuid import UUID

from apps.accounts.models import Project
from apps.monitoring.models import Alert, Monitor, Report
from foundation.errors import NotFound


def get_monitor(project: Project, name: str, *, trashed: bool = False) -> Monitor:
    """The monitor of that name in a project the caller was already let into. Raises NotFound."""
    found = (
        Monitor.objects.filter(project=project, name=name.replace("\x00", ""), deleted_at__isnull=not trashed)
        .select_related("project", "deployment__current", "dataset", "baseline__dataset", "created_by")
        .order_by("-deleted_at")
        .first()
    )
    if found is None:
        where = "in the trash" if trashed else "in this project"
        raise NotFound("monitor.not_found", f"There is no monitor '{name[:63]}' {where}.")
    return found  # type: ignore[no-any-return]  # the base's manager is untyped


def get_report(monitor: Monitor, report_id: UUID | str) -> Report:
    """One report of a monitor. Raises NotFound."""
    found = monitor.reports.select_related("created_by").filter(pk=_uuid(report_id)).first()
    if found is None:
        raise NotFound("report.not_found", "There is no such report of this monitor.")
    return found


def get_alert(monitor: Monitor, alert_id: UUID | str) -> Alert:
    """One alert of a monitor. Raises NotFound."""
    found = monitor.alerts.filter(pk=_uuid(alert_id)).first()
    if found is None:
        raise NotFound("alert.not_found", "There is no such alert of this monitor.")
    return found


def _uuid(text: UUID | str) -> UUID:
    """The id, or one that nothing has when the text is no id."""
    try:
        return text if isinstance(text, UUID) else UUID(text)
    except ValueError:
        return UUID(int=0)
