"""The staff admin: the limits of teams."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.validators import MaxValueValidator
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.accounts.admin import ReadOnlyAdmin
from apps.jobs.models import ProjectUse, TeamLimits
from apps.jobs.quotas.actions import FIELDS, lift_limits, set_limits

HELP = {
    "concurrent_jobs": "Jobs that workers hold at once, in all projects of the team; further ones wait. "
    "Empty: no limit.",
    "cpu_seconds_per_day": "Processor seconds of a day (UTC); then no new work begins. Empty: no limit.",
    "storage_bytes": "Bytes that all its projects keep, the trash included. Empty: no limit.",
    "minimum_tier": "The weakest isolation tier that may run its sandboxed jobs, 0 to 3; for jobs submitted "
    "from now on.",
}


@admin.register(TeamLimits)
class TeamLimitsAdmin(ModelAdmin):
    """What each team may use; every change leaves an audit row."""

    list_display = ("team", *FIELDS, "updated_at")
    list_select_related = ("team",)
    search_fields = ("team__name", "team__slug")
    fields = ("team", *FIELDS)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("team",) if obj is not None else ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in HELP:
            field.help_text = HELP[db_field.name]
        if field is not None and db_field.name == "minimum_tier":
            field.max_value = 3
            field.validators.append(MaxValueValidator(3))
        return field

    def save_model(self, request: Any, obj: TeamLimits, form: Any, change: bool) -> None:
        saved = set_limits(
            actor=request.actor, team=obj.team, **{name: getattr(obj, name) for name in FIELDS}
        )
        obj.pk = saved.pk

    def delete_model(self, request: Any, obj: TeamLimits) -> None:
        lift_limits(actor=request.actor, team=obj.team)

    def delete_queryset(self, request: Any, queryset: QuerySet[TeamLimits]) -> None:
        for limits in queryset.select_related("team"):
            lift_limits(actor=request.actor, team=limits.team)


@admin.register(ProjectUse)
class ProjectUseAdmin(ReadOnlyAdmin):
    """What each project has used lately: whose turn it is follows from it."""

    list_display = ("owner", "recent", "at", "day", "cpu_seconds")
