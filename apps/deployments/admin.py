"""Staff pages: to look, not to change what the serving process owns."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.admin import ReadOnlyAdmin
from apps.deployments.models import Deployment, EventImport, InferenceLabel, InferenceSegment, Revision


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    """Deployments of all projects."""

    list_display = ("name", "project", "model_ref", "wanted", "state", "restarts", "created_at", "deleted_at")
    list_filter = ("state", "wanted")
    search_fields = ("name", "model_ref")


@admin.register(Revision)
class RevisionAdmin(ReadOnlyAdmin):
    """Their revisions."""

    list_display = ("deployment", "number", "model_name", "model_version", "state", "pid", "created_at")
    list_filter = ("state",)


@admin.register(InferenceSegment)
class InferenceSegmentAdmin(ReadOnlyAdmin):
    """The index of recorded inferences."""

    list_display = ("deployment", "origin", "rows", "bytes", "start", "end")


@admin.register(EventImport)
class EventImportAdmin(ReadOnlyAdmin):
    """Imports of past events."""

    list_display = ("deployment", "filename", "state", "rows", "created_at")


@admin.register(InferenceLabel)
class InferenceLabelAdmin(ReadOnlyAdmin):
    """What really happened."""

    list_display = ("deployment", "inference_id", "value", "created_by", "updated_at")
    list_select_related = ("deployment", "created_by")
    show_full_result_count = False
