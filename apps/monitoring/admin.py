"""Staff pages: monitors, reports and alerts, read-only where a row is a finding."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.admin import ReadOnlyAdmin
from apps.monitoring.models import Alert, Monitor, Report


@admin.register(Monitor)
class MonitorAdmin(ReadOnlyAdmin):
    """Monitors."""

    list_display = ("name", "project", "deployment", "dataset", "baseline", "window", "created_at")
    list_select_related = ("project", "deployment", "dataset", "baseline__dataset")
    search_fields = ("name",)


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    """Reports."""

    list_display = ("monitor", "start", "end", "state", "rows", "created_at")
    list_select_related = ("monitor",)
    list_filter = ("state",)


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """Alerts."""

    list_display = ("monitor", "feature", "start", "value", "threshold", "state")
    list_select_related = ("monitor",)
    list_filter = ("state",)
