"""The chore that looks at the metrics of runs with rules while they work, and once more when they are over."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import transaction

from adapters.tracking import MetricPoint, get_tracking
from apps.accounts.access import SYSTEM
from apps.experiments import events
from apps.experiments.models import Run
from apps.experiments.rules.judging import Finding, judge
from apps.experiments.rules.states import Action, RuleState
from apps.jobs.actions import request_cancel
from apps.jobs.chores import chore
from apps.jobs.models import Job, JobEvent
from apps.jobs.states import JobState
from foundation.clock import iso, now
from foundation.events import publish

logger = logging.getLogger(__name__)
#: Of a longer history, extremes and both ends are looked at.
POINTS = 10_000
EVERY_SECONDS = 2.0


@chore("experiments.watch_rules", every=EVERY_SECONDS)
def watch_rules() -> int:
    """Look at every run whose rules still watch. Returns how many rules applied."""
    watched = Run.objects.filter(rules__open=True).exclude(
        job__state__in=[JobState.QUEUED, JobState.STARTING]
    )
    return sum(_watch(key) for key in list(watched.values_list("pk", flat=True)))


def _watch(key: Any) -> int:
    """One run; what goes wrong with it must not keep the others from being watched."""
    try:
        return check_run(key)
    except Exception:
        logger.exception("the rules of run %s cannot be looked at", key)
        return 0


def check_run(key: Any, *, at: datetime | None = None) -> int:
    """Judge the open rules of a run, keep what they found, tell and stop. Returns how many applied."""
    moment = at or now()
    run = Run.objects.select_related("job", "project").get(pk=key)
    over = run.is_terminal  # asked before the metrics are read, so that those of the end are seen as well
    found = _judged(run)
    if not found and not over:
        return 0
    with transaction.atomic():
        # The job first, as everybody locks them who ends a job.
        Job.objects.select_for_update(of=("self",)).filter(pk=run.job_id).first()
        run = Run.objects.select_for_update(of=("self",)).select_related("job", "project").get(pk=key)
        if not run.rules.get("open"):
            return 0
        stop = _write(run, found, over=over, moment=moment)
        if stop is not None and run.job is not None:
            request_cancel(job=run.job, actor=SYSTEM, reason=f"Stopped by a rule: {stop.message}")
    return len(found)


def _judged(run: Run) -> dict[int, Finding]:
    """What the open rules find, by their place in the list."""
    tracking = get_tracking()

    @cache
    def history(name: str) -> Sequence[MetricPoint]:
        return tracking.metric_history(run.hex, name, POINTS)

    @cache
    def unfinite(name: str) -> tuple[str, MetricPoint] | None:
        return tracking.first_unfinite(run.hex, name)

    found = {}
    for place, rule in enumerate(run.rules.get("rules", [])):
        if rule["state"] == RuleState.WATCHING:
            finding = judge(rule, history, unfinite)
            if finding is not None:
                found[place] = finding
    return found


def _write(run: Run, found: dict[int, Finding], *, over: bool, moment: datetime) -> Finding | None:
    """Keep the findings with the run, in its job's timeline and as news. Returns the one that stops the run."""
    stop: Finding | None = None
    rules = []
    for place, rule in enumerate(run.rules["rules"]):
        finding = found.get(place) if rule["state"] == RuleState.WATCHING else None
        if finding is not None:
            stops = rule["action"] == Action.STOP and not run.is_terminal
            stop = stop or (finding if stops else None)
            state = RuleState.STOPPED if stops else RuleState.WARNED
            rule = {
                **rule,
                "state": str(state),
                "message": finding.message,
                "step": finding.step,
                "value": finding.value,
                "at": iso(moment),
            }
            _tell(run, finding, str(state), place)
        elif over and rule["state"] == RuleState.WATCHING:
            rule = {**rule, "state": str(RuleState.PASSED)}
        rules.append(rule)
    watching = any(rule["state"] == RuleState.WATCHING for rule in rules)
    run.rules = {**run.rules, "open": watching and stop is None, "rules": _settled(rules, stop is not None)}
    run.save(update_fields=["rules", "updated_at"])
    return stop


def _settled(rules: list[dict[str, Any]], stopped: bool) -> list[dict[str, Any]]:
    """When one rule ends the run, the others are over as well."""
    if not stopped:
        return rules
    watching = str(RuleState.WATCHING)
    return [{**rule, "state": str(RuleState.PASSED)} if rule["state"] == watching else rule for rule in rules]


def _tell(run: Run, finding: Finding, state: str, place: int) -> None:
    if run.job is not None:
        JobEvent.objects.create(
            job_id=run.job.pk, fence=run.job.fence, kind=f"rule_{state}", message=finding.message
        )
    publish(
        events.RuleApplied(
            run_id=run.pk, project_id=run.project_id, place=place, state=state, message=finding.message
        )
    )
