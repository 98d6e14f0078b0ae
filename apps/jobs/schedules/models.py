"""Schedules and what came of their due times."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from apps.jobs.schedules.states import FiringState
from foundation.models import Identified, Stamped


class Schedule(Stamped):
    """Starts something of another app at the times of a cron expression, in the name of `acts_as`.

    kind: a name of schedules.registry; subject_id: the key of what it starts there. next_due: the next moment, None
    when it is switched off. reason: why it switched itself off. catch_up: whether the newest of the times that
    passed while the studio was down is made up for, once.
    """

    project = models.ForeignKey("accounts.Project", on_delete=models.PROTECT, related_name="schedules")
    kind = models.CharField(max_length=80)
    subject_id = models.CharField(max_length=80)
    cron = models.CharField(max_length=100)
    timezone = models.CharField(max_length=64)
    parameters: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    enabled = models.BooleanField(default=True)
    catch_up = models.BooleanField(default=True)
    reason = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    acts_as = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Who set it last: it does what that person may do, and nothing more.",
    )
    next_due = models.DateTimeField(null=True, blank=True)
    last_due = models.DateTimeField(null=True, blank=True)
    last_fired = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["next_due", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(enabled=True, next_due__isnull=False) | Q(enabled=False, next_due__isnull=True),
                name="schedule_due_while_enabled",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["next_due"], name="schedule_due", condition=Q(enabled=True)),
            models.Index(fields=["project", "kind", "subject_id"], name="schedule_of_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.cron} ({self.timezone}) for {self.kind} {self.subject_id}"

    def get_absolute_url(self) -> str:
        """The schedule's page."""
        return reverse("jobs:schedule", args=[self.project.slug, self.pk])


class ScheduleFiring(Identified):
    """One due time that has come. The constraint is what lets it happen once, with any number of schedulers."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="firings")
    due = models.DateTimeField()
    fired_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=10, choices=FiringState, default=FiringState.FIRED)
    late = models.BooleanField(default=False, help_text="It made up for a time that had passed.")
    reason = models.TextField(blank=True, default="")
    started_id = models.CharField(max_length=80, blank=True, default="", help_text="Key of what it started.")
    title = models.CharField(max_length=200, blank=True, default="")
    url = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering: ClassVar[list[str]] = ["-due"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["schedule", "due"], name="schedule_fires_once"),
        ]

    def __str__(self) -> str:
        return f"{self.due} of {self.schedule_id}: {self.state}"
