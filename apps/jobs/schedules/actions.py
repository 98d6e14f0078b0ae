"""Writes on schedules. Each is atomic and leaves an audit row."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction

from apps.accounts.access import SYSTEM, Actor
from apps.accounts.actions import check_timezone
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.jobs.events import ScheduleStopped
from apps.jobs.schedules.cron import check_cron, next_times
from apps.jobs.schedules.models import Schedule
from apps.jobs.schedules.registry import Kind, kind_called
from foundation import clock
from foundation.errors import Conflict, Forbidden, Invalid
from foundation.events import publish

MAXIMUM_SCHEDULES = 200
MAXIMUM_PARAMETERS = 20_000
CHANGEABLE = ("cron", "timezone", "parameters", "catch_up", "enabled")


def _audit(actor: Actor, schedule: Schedule, verb: str, **detail: Any) -> None:
    record_audit(
        actor=actor,
        project=schedule.project,
        action=f"schedule.{verb}",
        subject_kind="schedule",
        subject_id=schedule.pk,
        subject_title=f"{schedule.cron} ({schedule.timezone})",
        detail=detail,
    )


def kind_of(schedule: Schedule) -> Kind:
    """What the schedule starts. Raises Conflict "schedule.kind_unknown" on a studio that does not know it."""
    kind = kind_called(schedule.kind)
    if kind is None:
        raise Conflict("schedule.kind_unknown", f"This studio does not know how to start {schedule.kind}.")
    return kind


def _parameters(actor: Actor, kind: Kind, project: Project, key: str, given: object) -> dict[str, Any]:
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise Invalid(
            "schedule.parameters", "parameters is an object of names and values.", {"field": "parameters"}
        )
    if len(json.dumps(given)) > MAXIMUM_PARAMETERS:
        raise Invalid("schedule.parameters", "The parameters are too long.", {"field": "parameters"})
    return kind.handler.check(actor, project, key, given)


def _flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid("schedule.invalid", f"{field} is true or false.", {"field": field})
    return value


def _check_person(actor: Actor) -> None:
    """A job's token ends with the job and is limited to it; a schedule would outlive both."""
    if actor.job_id is not None:
        raise Forbidden("schedule.by_job", "A job cannot set schedules: they would outlive it.")


@transaction.atomic
def create_schedule(
    *,
    actor: Actor,
    project: Project,
    kind: Kind,
    subject: str,
    cron: str,
    timezone: str = "",
    parameters: object = None,
    enabled: bool = True,
    catch_up: bool = True,
) -> Schedule:
    """A schedule for the subject of that name; without a time zone the project's.

    Raises NotFound for the subject, Invalid "schedule.cron", "schedule.never", "timezone.unknown",
    "schedule.parameters", Conflict "schedule.too_many", Forbidden "schedule.by_job".
    """
    _check_person(actor)
    found = kind.handler.find(project, subject)
    cron = check_cron(cron)
    zone = check_timezone(str(timezone or project.timezone))
    kept = _parameters(actor, kind, project, found.key, parameters)
    Project.objects.select_for_update().get(pk=project.pk)
    if Schedule.objects.filter(project=project).count() >= MAXIMUM_SCHEDULES:
        raise Conflict("schedule.too_many", f"A project has at most {MAXIMUM_SCHEDULES} schedules.")
    enabled = _flag(enabled, "enabled")
    schedule = Schedule.objects.create(
        project=project,
        kind=kind.name,
        subject_id=found.key,
        cron=cron,
        timezone=zone,
        parameters=kept,
        enabled=enabled,
        catch_up=_flag(catch_up, "catch_up"),
        created_by=actor.user,
        acts_as=actor.user,
        next_due=next_times(cron, zone, clock.now(), 1)[0] if enabled else None,
    )
    _audit(actor, schedule, "create", **{kind.noun: found.name})
    return schedule


@transaction.atomic
def update_schedule(*, actor: Actor, schedule: Schedule, changes: dict[str, Any]) -> Schedule:
    """Change cron, timezone, parameters, catch_up or enabled; what is not in `changes` stays.

    From then on it acts as the person who changed it. Times that passed while it was off are not made up for.
    """
    _check_person(actor)
    schedule = Schedule.objects.select_for_update(of=("self",)).select_related("project").get(pk=schedule.pk)
    if "cron" in changes:
        schedule.cron = check_cron(changes["cron"])
    if "timezone" in changes:
        schedule.timezone = check_timezone(str(changes["timezone"]))
    if "parameters" in changes:
        schedule.parameters = _parameters(
            actor, kind_of(schedule), schedule.project, schedule.subject_id, changes["parameters"]
        )
    if "catch_up" in changes:
        schedule.catch_up = _flag(changes["catch_up"], "catch_up")
    if "enabled" in changes:
        schedule.enabled = _flag(changes["enabled"], "enabled")
        if schedule.enabled:
            schedule.parameters = _parameters(
                actor, kind_of(schedule), schedule.project, schedule.subject_id, schedule.parameters
            )
    schedule.reason = ""
    schedule.acts_as = actor.user
    moment = clock.now()
    if schedule.last_due is not None:
        moment = max(moment, schedule.last_due)
    schedule.next_due = (
        next_times(schedule.cron, schedule.timezone, moment, 1)[0] if schedule.enabled else None
    )
    schedule.save()
    _audit(actor, schedule, "update", fields=sorted(changes))
    return schedule


@transaction.atomic
def delete_schedule(*, actor: Actor, schedule: Schedule) -> None:
    """Remove it with the list of its firings; what it started stays."""
    _audit(actor, schedule, "delete")
    schedule.delete()


def stop_schedule(schedule: Schedule, reason: str) -> None:
    """Switch it off for a reason that only a person can mend. The caller holds the row."""
    schedule.enabled = False
    schedule.next_due = None
    schedule.reason = reason
    schedule.save(update_fields=["enabled", "next_due", "reason", "updated_at"])
    _audit(SYSTEM, schedule, "stop", reason=reason)
    publish(
        ScheduleStopped(
            schedule_id=schedule.pk,
            project_id=schedule.project_id,
            user_id=schedule.acts_as_id,
            reason=reason,
        )
    )
