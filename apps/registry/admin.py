"""Staff admin: read-only, since every change goes through actions with its audit row."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.admin import ReadOnlyAdmin
from apps.registry.models import Alias, AliasMove, Model, ModelVersion, Promotion


@admin.register(Model)
class ModelsAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "created_by", "created_at", "deleted_at"]
    list_select_related = ["project", "created_by"]
    search_fields = ["name"]


@admin.register(ModelVersion)
class VersionsAdmin(ReadOnlyAdmin):
    list_display = ["model", "number", "state", "created_by", "created_at", "deleted_at"]
    list_select_related = ["model", "created_by"]
    list_filter = ["state"]
    search_fields = ["model__name"]


@admin.register(Alias)
class AliasesAdmin(ReadOnlyAdmin):
    list_display = ["model", "name", "version", "updated_at"]
    list_select_related = ["model", "version__model"]


@admin.register(Promotion)
class PromotionsAdmin(ReadOnlyAdmin):
    list_display = ["version", "alias", "state", "created_by", "decided_by", "created_at"]
    list_select_related = ["version__model", "created_by", "decided_by"]
    list_filter = ["state", "alias"]


@admin.register(AliasMove)
class AliasMovesAdmin(ReadOnlyAdmin):
    """Who moved which alias."""

    list_display = ["at", "model", "alias", "before", "version", "moved_by", "user"]
    list_select_related = ["model", "before__model", "version__model", "user"]
