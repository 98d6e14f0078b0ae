"""Staff pages: environments and their folders, read-only."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.admin import ReadOnlyAdmin
from apps.environments.models import Environment, EnvironmentFolder


@admin.register(Environment)
class EnvironmentAdmin(ReadOnlyAdmin):
    """Environments."""

    list_display = ("name", "project", "state", "python", "size", "used_at", "created_at")
    list_select_related = ("project",)
    list_filter = ("state",)
    search_fields = ("name", "requirements")


@admin.register(EnvironmentFolder)
class EnvironmentFolderAdmin(ReadOnlyAdmin):
    """Folders on the hosts."""

    list_display = ("digest", "host", "size", "built_at", "used_at")
    search_fields = ("digest", "host")
