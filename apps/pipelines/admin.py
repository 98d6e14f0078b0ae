"""Staff pages: pipelines, their runs and nodes, read-only."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.admin import ReadOnlyAdmin
from apps.pipelines.models import NodeRun, Pipeline, PipelineRun, PipelineVersion


@admin.register(Pipeline)
class PipelineAdmin(ReadOnlyAdmin):
    """Pipelines."""

    list_display = ("name", "project", "latest", "created_by", "created_at", "deleted_at")
    list_select_related = ("project", "latest__pipeline", "created_by")
    search_fields = ("name",)


@admin.register(PipelineRun)
class PipelineRunAdmin(ReadOnlyAdmin):
    """Runs."""

    list_display = ("__str__", "project", "state", "source", "created_by", "created_at", "finished_at")
    list_select_related = ("project", "pipeline", "created_by")
    list_filter = ("state", "source")


@admin.register(NodeRun)
class NodeRunAdmin(ReadOnlyAdmin):
    """Nodes of runs."""

    list_display = ("name", "kind", "pipeline_run", "state", "attempt", "started_at", "finished_at")
    list_select_related = ("pipeline_run__pipeline",)
    list_filter = ("state", "kind")


@admin.register(PipelineVersion)
class PipelineVersionAdmin(ReadOnlyAdmin):
    """Definitions."""

    list_display = ("pipeline", "number", "created_by", "created_at")
    list_select_related = ("pipeline", "created_by")
