"""Running jobs and schedules of somebody who leaves a team: they end, or go on in the name of who took them over."""

from __future__ import annotations

import contextlib

from django.db.models import QuerySet

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import ApiToken, Team, User
from apps.accounts.offboarding import register_estate
from apps.accounts.tokens import end_job_tokens
from apps.jobs.actions import request_cancel
from apps.jobs.models import Job
from apps.jobs.schedules.actions import stop_schedule
from apps.jobs.schedules.models import Schedule
from apps.jobs.states import LIVE
from foundation.errors import Conflict


class RunningJobs:
    """A job acts for its submitter, who has no role any more."""

    nouns = ("running job", "running jobs")

    def count(self, *, team: Team, user: User) -> int:
        """Jobs of the team's projects that wait or run in the person's name."""
        return self._live(team, user).count()

    def settle(self, *, actor: Actor, team: Team, user: User, take_over: bool) -> int:
        """Cancel them and end their tokens at once, or make the actor their submitter."""
        jobs = list(self._live(team, user).select_related("project"))
        for job in jobs:
            if take_over:
                self._take_over(actor, job)
            else:
                end_job_tokens(job_id=job.pk)
                with contextlib.suppress(Conflict):  # it has just come to its end
                    request_cancel(job=job, actor=actor, reason=f"{user.username} left the team {team.name}.")
        return len(jobs)

    @staticmethod
    def _live(team: Team, user: User) -> QuerySet[Job]:
        return Job.objects.filter(project__team=team, created_by=user, state__in=LIVE)

    @staticmethod
    def _take_over(actor: Actor, job: Job) -> None:
        Job.objects.filter(pk=job.pk).update(created_by=actor.user)
        ApiToken.objects.filter(job_id=job.pk, revoked_at__isnull=True).update(user=actor.user)
        record_audit(
            actor=actor,
            project=job.project,
            action="job.take_over",
            subject_kind="job",
            subject_id=job.pk,
            subject_title=job.title,
        )


class Schedules:
    """A schedule does what the person may who set it last."""

    nouns = ("schedule", "schedules")

    def count(self, *, team: Team, user: User) -> int:
        """Schedules of the team's projects that are on and act as the person."""
        return self._live(team, user).count()

    def settle(self, *, actor: Actor, team: Team, user: User, take_over: bool) -> int:
        """Switch them off with the reason, or let them act as the actor."""
        schedules = list(self._live(team, user).select_for_update(of=("self",)).select_related("project"))
        for schedule in schedules:
            if take_over:
                Schedule.objects.filter(pk=schedule.pk).update(acts_as=actor.user)
                record_audit(
                    actor=actor,
                    project=schedule.project,
                    action="schedule.take_over",
                    subject_kind="schedule",
                    subject_id=schedule.pk,
                    subject_title=f"{schedule.cron} ({schedule.timezone})",
                )
            else:
                stop_schedule(schedule, f"It acted as {user.username}, who left the team {team.name}.")
        return len(schedules)

    @staticmethod
    def _live(team: Team, user: User) -> QuerySet[Schedule]:
        return Schedule.objects.filter(project__team=team, acts_as=user, enabled=True)


register_estate("jobs", RunningJobs())
register_estate("schedules", Schedules())
