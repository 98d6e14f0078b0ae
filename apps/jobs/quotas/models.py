"""The limits of a team (one without a row has none), and what each project has used lately."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from foundation.models import Stamped


class TeamLimits(Stamped):
    """What all projects of a team may use together; None = no limit. Set by the studio's staff.

    concurrent_jobs: jobs that workers hold at once; cpu_seconds_per_day: of all attempts that ran since midnight
    UTC; storage_bytes: what the usage meters of the team's projects sum up to; minimum_tier: the weakest isolation
    tier that may run its sandboxed jobs.
    """

    team = models.OneToOneField("accounts.Team", on_delete=models.CASCADE, related_name="limits")
    concurrent_jobs = models.PositiveIntegerField(null=True, blank=True)
    cpu_seconds_per_day = models.PositiveBigIntegerField(null=True, blank=True)
    storage_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    minimum_tier = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name_plural = "team limits"

    def __str__(self) -> str:
        return f"limits of {self.team_id}"


class ProjectUse(models.Model):
    """What the finished attempts of one project have used: one row, changed at the end of each attempt.

    owner: the project's id, or zero for the studio's own work. recent: seconds in which slots were held (times the
    processors asked for), of which half is forgotten every quotas.use.HALF_LIFE seconds; as it was at `at`.
    cpu_seconds: processor time of attempts that ended on `day` (UTC).
    """

    owner = models.UUIDField(primary_key=True)
    recent = models.FloatField(default=0.0)
    at = models.DateTimeField(db_default=Now())
    day = models.DateField()
    cpu_seconds = models.FloatField(default=0.0)

    class Meta:
        verbose_name = "use of a project"
        verbose_name_plural = "use of projects"
        ordering: ClassVar[list[str]] = ["owner"]

    def __str__(self) -> str:
        return f"use of {self.owner}"
