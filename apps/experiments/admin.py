"""The staff admin: experiments and runs, for looking only. A change goes through actions with its audit row."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.admin import ReadOnlyAdmin
from apps.experiments.models import Experiment, Run, RunInput


@admin.register(Experiment)
class ExperimentAdmin(ReadOnlyAdmin):
    """All experiments of all projects."""

    list_display = ("name", "mlflow_id", "project", "created_by", "updated_at", "deleted_at")
    list_select_related = ("project", "created_by")
    search_fields = ("name", "mlflow_id", "id")


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """All runs of all projects."""

    list_display = (
        "name",
        "project",
        "experiment",
        "state",
        "algorithm",
        "source",
        "created_by",
        "created_at",
    )
    list_select_related = ("project", "experiment", "job", "created_by")
    list_filter = ("source", "algorithm")
    search_fields = ("name", "id")


@admin.register(RunInput)
class RunInputAdmin(ReadOnlyAdmin):
    """The channels of scripts' runs."""

    list_display = ("run", "channel", "dataset_version", "format")
    list_select_related = ("run", "dataset_version__dataset")
