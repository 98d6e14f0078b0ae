"""Running jobs of somebody who leaves a team: they are cancelled, or go on in the name of who took them over."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import ApiToken, Team, User
from apps.accounts.offboarding import register_estate
from apps.accounts.tokens import end_job_tokens
from apps.jobs.actions import request_cancel
from apps.jobs.models import Job
from apps.jobs.states import LIVE


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


register_estate("jobs", RunningJobs())
