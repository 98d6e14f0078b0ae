"""Staff pages: monitors, reports and alerts, read-only where a row is a finding."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from unfold.admin import ModelAdmin

from apps.monitoring.models import Alert, Monitor, Report


class _Finding(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    """Rows that jobs write: to look at, not to change."""

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Monitor)
class MonitorAdmin(_Finding):
    """Monitors."""

    list_display = ("name", "project", "deployment", "dataset", "baseline", "window", "created_at")
    list_select_related = ("project", "deployment", "dataset", "baseline__dataset")
    search_fields = ("name",)


@admin.register(Report)
class ReportAdmin(_Finding):
    """Reports."""

    list_display = ("monitor", "start", "end", "state", "rows", "created_at")
    list_select_related = ("monitor",)
    list_filter = ("state",)


@admin.register(Alert)
class AlertAdmin(_Finding):
    """Alerts."""

    list_display = ("monitor", "feature", "start", "value", "threshold", "state")
    list_select_related = ("monitor",)
    list_filter = ("state",)
