"""Staff pages: to look, not to change what the serving process owns."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from unfold.admin import ModelAdmin

from apps.deployments.models import Deployment, EventImport, InferenceSegment, Revision


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only the studio itself writes."""

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


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
