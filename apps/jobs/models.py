"""Jobs, their attempts, the outbox, the append-only event history, and the workers that run them."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.jobs.checkpoints.models import JobCheckpoint as JobCheckpoint
from apps.jobs.quotas.models import ProjectUse as ProjectUse
from apps.jobs.quotas.models import TeamLimits as TeamLimits
from apps.jobs.schedules.models import Schedule as Schedule
from apps.jobs.schedules.models import ScheduleFiring as ScheduleFiring
from apps.jobs.states import ACTIVE, LIVE, TERMINAL, JobState, Outcome, Where
from apps.jobs.workers.models import LogPiece as LogPiece
from foundation.clock import now
from foundation.ids import uuid7
from foundation.models import Identified
from foundation.partitions import register_monthly

register_monthly("jobs_jobevent", "at")


class JobQuerySet(models.QuerySet["Job"]):
    """Query verbs of jobs."""

    def live(self) -> Self:
        """Jobs that are not over: queued or being worked on."""
        return self.filter(state__in=LIVE)

    def active(self) -> Self:
        """Jobs that a worker holds."""
        return self.filter(state__in=ACTIVE)

    def about(self, kind: str, subject_id: object) -> Self:
        """Jobs whose subject is the given object."""
        return self.filter(subject_kind=kind, subject_id=str(subject_id))


class Job(Identified):
    """One piece of long work. The row is the truth; messages, processes and files only follow it.

    `fence` counts attempts: every effect of an attempt carries its fence and is refused when the row has a
    higher one. Only the database's clock is ever compared with the time stamps here.
    """

    kind = models.CharField(max_length=80)
    where = models.CharField(max_length=16, choices=Where, db_column="place")
    project = models.ForeignKey(
        "accounts.Project", on_delete=models.PROTECT, null=True, blank=True, related_name="jobs"
    )
    created_by = models.ForeignKey(
        "accounts.User", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    parent = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="children"
    )
    title = models.CharField(max_length=200)
    subject_kind = models.CharField(max_length=40, blank=True, default="")
    subject_id = models.CharField(max_length=80, blank=True, default="")
    spec = models.JSONField(default=dict)

    state = models.CharField(max_length=16, choices=JobState, default=JobState.QUEUED)
    priority = models.SmallIntegerField(default=0, help_text="Higher goes first.")
    queue = models.CharField(max_length=40, default="cpu")
    resources = models.JSONField(default=dict, blank=True)
    minimum_tier = models.SmallIntegerField(default=0, help_text="Weakest isolation tier that may run it.")

    fence = models.IntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.ForeignKey(
        "accounts.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    timeout_seconds = models.IntegerField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    infra_retries_left = models.SmallIntegerField(default=3)
    user_retries_left = models.SmallIntegerField(default=0)

    progress = models.JSONField(default=dict, blank=True)
    result = models.JSONField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")
    error_code = models.CharField(max_length=80, blank=True, default="")

    created_at = models.DateTimeField(default=now, db_default=Now(), editable=False)
    queued_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at", "-id"], name="jobs_by_project"),
            models.Index(fields=["subject_kind", "subject_id", "-created_at"], name="jobs_by_subject"),
            # All that the search over everything compares: it reads the index and not the wide rows.
            models.Index(fields=["project", "-created_at", "-id"], include=["title"], name="jobs_to_search"),
            # What placement walks: the projects of a queue, and the first jobs of each.
            models.Index(
                fields=["queue", "project", "-priority", "queued_at"],
                name="jobs_by_turn",
                condition=Q(state=JobState.QUEUED),
            ),
            models.Index(
                fields=["project"],
                name="jobs_live",
                condition=Q(
                    state__in=[JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.STOPPING]
                ),
            ),
            # No time stamp in it: heartbeats then stay heap-only updates.
            models.Index(
                fields=["worker"],
                name="jobs_held",
                condition=Q(state__in=[JobState.STARTING, JobState.RUNNING, JobState.STOPPING]),
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(state__in=JobState.values), name="jobs_state_known"),
            models.CheckConstraint(condition=Q(fence__gte=0), name="jobs_fence_positive"),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=False)
                | Q(state__in=[JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.STOPPING]),
                name="jobs_terminal_has_end",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id} ({self.state})"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in TERMINAL

    @property
    def is_live(self) -> bool:
        """Queued or being worked on."""
        return self.state in LIVE


class JobAttempt(Identified):
    """One try at a job (number = fence), and the usage row that quotas and cost read."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.IntegerField()
    worker = models.CharField(max_length=120)
    tier = models.SmallIntegerField(default=0)
    warm = models.BooleanField(null=True, blank=True)
    started_at = models.DateTimeField(db_default=Now())
    user_started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, choices=Outcome, blank=True, default="")
    charged = models.BooleanField(default=True, help_text="Whether a retry it causes counts.")
    reason = models.TextField(blank=True, default="")
    error_code = models.CharField(max_length=80, blank=True, default="")
    exit_code = models.IntegerField(null=True, blank=True)
    cpu_seconds = models.FloatField(null=True, blank=True)
    max_rss = models.BigIntegerField(null=True, blank=True, help_text="Bytes.")
    wall_seconds = models.FloatField(null=True, blank=True)
    log_key = models.CharField(max_length=200, blank=True, default="")
    log_bytes = models.BigIntegerField(default=0)
    samples = models.JSONField(null=True, blank=True, help_text="Memory and processor time while it ran.")

    class Meta:
        ordering: ClassVar[list[str]] = ["number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["job", "number"], name="jobs_attempt_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["worker", "-started_at"], name="jobs_attempt_by_worker"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.job_id} ({self.outcome or 'open'})"


class Outbox(models.Model):
    """A doorbell that must still be rung: written with the job, removed once Celery has the message."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+")
    queue = models.CharField(max_length=40)
    due_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "outbox row"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["due_at", "id"], name="jobs_outbox_due")
        ]

    def __str__(self) -> str:
        return f"outbox {self.id} for {self.job_id}"


class JobEvent(models.Model):
    """What happened to a job, append-only, partitioned by month. `kind` is the new state or a word such as
    cancel_requested; `detail` holds numbers and sentences for the timeline."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(db_default=Now())
    job_id = models.UUIDField()
    fence = models.IntegerField(default=0)
    kind = models.CharField(max_length=40)
    message = models.TextField(blank=True, default="")
    actor = models.CharField(max_length=160, blank=True, default="")
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["at", "id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["job_id", "at"], name="jobs_event_of_job")
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.job_id} at {self.at}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert only: history is not rewritten."""
        if not self._state.adding:
            raise TypeError("job events are append-only")
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)


class Worker(Identified):
    """A long-lived process of the studio and its last sign of life; for workers also what they offer.

    kind: worker, scheduler or serving. generation: the run of the keeper that started it, "" without one.
    resources: what its jobs may use together ({"cpus", "memory_bytes", "gpus"}); about: what it tells of itself
    ("isolation": {"tier", "reasons"}, …).
    """

    name = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=20, default="worker")
    generation = models.CharField(max_length=80, blank=True, default="")
    host = models.CharField(max_length=120)
    pid = models.IntegerField(default=0)
    queues = models.JSONField(default=list)
    slots = models.SmallIntegerField(default=1)
    tier = models.SmallIntegerField(default=0)
    resources = models.JSONField(default=dict, blank=True)
    about = models.JSONField(default=dict, blank=True)
    version = models.CharField(max_length=40, blank=True, default="")
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    draining = models.BooleanField(default=False)
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-heartbeat_at"]

    def __str__(self) -> str:
        return self.name
