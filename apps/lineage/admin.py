"""The staff admin: the graph, for looking only. It is drawn by the actions of the other apps."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.admin import ReadOnlyAdmin
from apps.lineage.models import Edge, Node


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    """What is drawn of every object."""

    list_display = ("kind", "title", "project", "state", "alive", "created_at")
    list_select_related = ("project",)
    list_filter = ("kind", "alive")
    search_fields = ("title", "name", "key")


@admin.register(Edge)
class EdgeAdmin(ReadOnlyAdmin):
    """What went into what."""

    list_display = ("source", "target", "kind", "created_at")
    list_select_related = ("source", "target")
    list_filter = ("kind",)
