"""The staff admin: datasets and versions, for looking only. A change goes through actions with its audit row."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from unfold.admin import TabularInline

from apps.accounts.admin import ReadOnlyAdmin
from apps.datasets.models import Dataset, DatasetVersion, VersionPart


class PartInline(TabularInline):
    """The parts of a version."""

    model = VersionPart
    fields = ("position", "key", "rows", "bytes", "sha256")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        """Parts come from the reader only."""
        return False


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    """All datasets of all projects."""

    list_display = ("name", "project", "last_number", "created_by", "updated_at", "deleted_at")
    list_select_related = ("project", "created_by")
    search_fields = ("name", "description", "id")


@admin.register(DatasetVersion)
class DatasetVersionAdmin(ReadOnlyAdmin):
    """All versions of all datasets."""

    list_display = (
        "label",
        "project",
        "state",
        "rows",
        "columns",
        "bytes",
        "created_by",
        "created_at",
        "deleted_at",
    )
    list_select_related = ("dataset", "project", "created_by")
    list_filter = ("state",)
    search_fields = ("dataset__name", "id", "digest", "upload_digest")
    inlines = (PartInline,)
