"""Studies of somebody who leaves a team: they stop, or go on in the name of who took them over."""

from __future__ import annotations

import contextlib

from django.db.models import QuerySet

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Team, User
from apps.accounts.offboarding import register_estate
from apps.tuning.actions import stop_study
from apps.tuning.models import Study
from apps.tuning.states import LIVE
from foundation.errors import Conflict


class RunningStudies:
    """A study starts its trials as the person who made it."""

    nouns = ("running study", "running studies")

    def count(self, *, team: Team, user: User) -> int:
        """Studies of the team's projects that go on in the person's name."""
        return self._live(team, user).count()

    def settle(self, *, actor: Actor, team: Team, user: User, take_over: bool) -> int:
        """Stop them with their trials, or let them go on as the actor."""
        studies = list(self._live(team, user).select_related("project"))
        for study in studies:
            if not take_over:
                with contextlib.suppress(Conflict):  # it has just come to its end
                    stop_study(actor=actor, study=study, cancel=True)
                continue
            Study.objects.filter(pk=study.pk).update(created_by=actor.user)
            record_audit(
                actor=actor,
                project=study.project,
                action="study.take_over",
                subject_kind="study",
                subject_id=study.pk,
                subject_title=study.name,
            )
        return len(studies)

    @staticmethod
    def _live(team: Team, user: User) -> QuerySet[Study]:
        found: QuerySet[Study] = Study.objects.filter(project__team=team, created_by=user, state__in=LIVE)
        return found


register_estate("studies", RunningStudies())
