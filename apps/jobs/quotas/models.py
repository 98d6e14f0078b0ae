"""The limits of a team. A team without a row has none."""

from __future__ import annotations

from django.db import models

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
