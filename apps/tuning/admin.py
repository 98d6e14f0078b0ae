"""Staff pages: to look, not to change what the coordinator owns."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.admin import ReadOnlyAdmin
from apps.tuning.models import Study, Trial


@admin.register(Study)
class StudyAdmin(ReadOnlyAdmin):
    """Studies of all projects."""

    list_display = ("name", "project", "algorithm", "state", "n_trials", "created_at", "deleted_at")
    list_filter = ("state", "algorithm", "sampler", "pruner")
    search_fields = ("name",)


@admin.register(Trial)
class TrialAdmin(ReadOnlyAdmin):
    """Their trials."""

    list_display = ("study", "number", "state", "value", "created_at", "told_at")
    list_filter = ("state",)
    list_select_related = ("study",)
    show_full_result_count = False
