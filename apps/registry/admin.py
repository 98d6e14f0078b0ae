"""Staff admin: read-only, since every change goes through actions with its audit row."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.registry.models import Alias, Model, ModelVersion, Promotion


class ReadOnlyAdmin(ModelAdmin):
    """Looks, and nothing else."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
