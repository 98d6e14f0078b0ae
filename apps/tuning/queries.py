"""Reads for the API and for other apps: studies with their counts and best trials."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Min, Q, QuerySet

from apps.accounts.models import Project
from apps.tuning.access import RELATIONS
from apps.tuning.models import Study, Trial
from apps.tuning.states import StudyState, TrialState
from foundation.errors import Invalid


def studies_of(project: Project, *, q: str = "", state: str = "", trashed: bool = False) -> QuerySet[Any]:
    """Studies with n_running, n_complete, n_pruned, n_failed, and the highest and lowest value.

    Raises Invalid "list.state".
    """
    if state and state not in StudyState.values:
        raise Invalid("list.state", f"For studies, state is one of {', '.join(StudyState.values)}.")
    rows = Study.objects.filter(project=project, deleted_at__isnull=not trashed)
    if q:
        rows = rows.filter(name__icontains=q.replace("\x00", ""))
    if state:
        rows = rows.filter(state=state)
    return counted(rows)


def counted(studies: QuerySet[Any]) -> QuerySet[Any]:
    """The same studies with their counts."""

    def where(state: TrialState) -> Q:
        return Q(trials__state=state)

    complete = where(TrialState.COMPLETE)
    found: QuerySet[Any] = studies.select_related(*RELATIONS).annotate(
        n_running=Count("trials", filter=where(TrialState.RUNNING)),
        n_complete=Count("trials", filter=complete),
        n_pruned=Count("trials", filter=where(TrialState.PRUNED)),
        n_failed=Count("trials", filter=where(TrialState.FAILED)),
        highest=Max("trials__value", filter=complete),
        lowest=Min("trials__value", filter=complete),
    )
    return found


def best_trials(studies: Iterable[Any]) -> dict[UUID, Trial]:
    """The best trial of each counted study that has one, in one query: the complete one with the best value, among
    equals the earliest."""
    wanted = {s.pk: s.highest if s.maximizes else s.lowest for s in studies if s.highest is not None}
    found = Trial.objects.filter(
        study__in=wanted, state=TrialState.COMPLETE, value__in=set(wanted.values())
    ).order_by("number")
    best: dict[UUID, Trial] = {}
    for trial in found:
        if trial.value == wanted[trial.study_id]:
            best.setdefault(trial.study_id, trial)
    return best


def trials_of(study: Study, *, state: str = "") -> QuerySet[Trial]:
    """The trials of a study, with their runs. Raises Invalid "list.state"."""
    if state and state not in TrialState.values:
        raise Invalid("list.state", f"For trials, state is one of {', '.join(TrialState.values)}.")
    rows = study.trials.select_related("run__job", "study")
    return rows.filter(state=state) if state else rows
