"""Pipeline runs of somebody who leaves a team: they are cancelled, or go on in the name of who took them over."""

from __future__ import annotations

import contextlib

from django.db.models import QuerySet

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Team, User
from apps.accounts.offboarding import register_estate
from apps.pipelines.actions import cancel_pipeline_run
from apps.pipelines.models import PipelineRun
from apps.pipelines.states import LIVE
from foundation.errors import Conflict


class LivePipelineRuns:
    """A pipeline run does what the person may who started it."""

    nouns = ("pipeline run", "pipeline runs")

    def count(self, *, team: Team, user: User) -> int:
        """Runs in the team's projects that go on in the person's name."""
        return self._live(team, user).count()

    def settle(self, *, actor: Actor, team: Team, user: User, take_over: bool) -> int:
        """Cancel them, or let them go on as the actor."""
        runs = list(self._live(team, user).select_related("project", "pipeline"))
        for run in runs:
            if not take_over:
                with contextlib.suppress(Conflict):  # it has just come to its end
                    cancel_pipeline_run(actor=actor, run=run)
                continue
            PipelineRun.objects.filter(pk=run.pk).update(created_by=actor.user)
            record_audit(
                actor=actor,
                project=run.project,
                action="pipeline.take_over_run",
                subject_kind="pipeline",
                subject_id=run.pipeline_id,
                subject_title=run.pipeline.name,
                detail={"run": run.number},
            )
        return len(runs)

    @staticmethod
    def _live(team: Team, user: User) -> QuerySet[PipelineRun]:
        return PipelineRun.objects.filter(project__team=team, created_by=user, state__in=LIVE)


register_estate("pipelines", LivePipelineRuns())
