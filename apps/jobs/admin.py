"""The staff admin: jobs, attempts and processes, for looking only. A job is moved by the engine, never by hand."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import TabularInline

from apps.accounts.admin import ReadOnlyAdmin
from apps.jobs.models import Job, JobAttempt, JobEvent, Outbox, Worker
from apps.jobs.quotas import admin as quotas_admin  # noqa: F401  (registers its pages)
from apps.jobs.schedules.models import Schedule, ScheduleFiring


class AttemptInline(TabularInline):
    """The attempts of a job."""

    model = JobAttempt
    fields = ("number", "worker", "outcome", "reason", "started_at", "finished_at", "cpu_seconds", "max_rss")
    readonly_fields = fields
    extra = 0
    can_delete = False


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """All jobs of all projects."""

    list_display = ("title", "kind", "state", "project", "worker", "fence", "created_at", "finished_at")
    list_filter = ("state", "kind", "queue")
    search_fields = ("title", "id", "subject_id")
    list_select_related = ("project",)
    exclude = ("spec",)
    inlines = (AttemptInline,)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Processes and their last sign of life."""

    list_display = ("name", "kind", "slots", "tier", "draining", "started_at", "heartbeat_at", "stopped_at")
    list_filter = ("kind",)


@admin.register(JobEvent)
class JobEventAdmin(ReadOnlyAdmin):
    """The history of all jobs."""

    list_display = ("at", "job_id", "kind", "fence", "actor", "message")
    search_fields = ("job_id",)
    ordering = ("-at",)
    show_full_result_count = False


@admin.register(Outbox)
class OutboxAdmin(ReadOnlyAdmin):
    """Jobs that wait to be handed to the broker: usually none."""

    list_display = [field.name for field in Outbox._meta.fields]


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    """What starts by the clock."""

    list_display = ("__str__", "project", "enabled", "next_due", "last_fired", "acts_as")
    list_select_related = ("project", "acts_as")
    list_filter = ("enabled", "kind")


@admin.register(ScheduleFiring)
class ScheduleFiringAdmin(ReadOnlyAdmin):
    """The times that came."""

    list_display = ("due", "schedule", "state", "title", "fired_at", "late")
    list_select_related = ("schedule",)
    list_filter = ("state",)
