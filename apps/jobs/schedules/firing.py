"""Firing what is due: the firing, its effect and the next due time are one transaction.

A scheduler that dies in the middle leaves nothing behind, and another one fires the same time. A row lock keeps
two schedulers apart; the constraint on (schedule, due) holds even where their clocks differ.
"""

from __future__ import annotations

import datetime
import logging

from django.db import IntegrityError, InterfaceError, OperationalError, transaction

from apps.accounts.access import actor_for, role_in_project
from apps.accounts.states import Role
from apps.jobs.schedules.actions import stop_schedule
from apps.jobs.schedules.cron import latest_time, next_times
from apps.jobs.schedules.models import Schedule, ScheduleFiring
from apps.jobs.schedules.registry import Firing, NotNow, Started, kind_called
from apps.jobs.schedules.states import FiringState
from foundation import clock
from foundation.errors import AtelierError, Forbidden, NotFound

logger = logging.getLogger(__name__)
# Later than this, a due time has passed while nobody was there.
LATE = datetime.timedelta(minutes=5)
KEPT = datetime.timedelta(days=90)


def fire_due(limit: int = 100) -> int:
    """Fire up to `limit` schedules that are due; returns how many were."""
    for done in range(limit):
        if not fire_next():
            return done
    return limit


@transaction.atomic
def fire_next() -> bool:
    """Fire the schedule that has been due longest and that no other scheduler holds. False when there is none."""
    moment = clock.now()
    schedule = (
        Schedule.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("project__team", "acts_as")
        .filter(enabled=True, next_due__lte=moment, project__deleted_at__isnull=True)
        .order_by("next_due", "id")
        .first()
    )
    if schedule is None:
        return False
    _fire(schedule, moment)
    return True


def _fire(schedule: Schedule, moment: datetime.datetime) -> None:
    assert schedule.next_due is not None
    due = latest_time(schedule.cron, schedule.timezone, since=schedule.next_due, until=moment)
    late = moment - due > LATE or due != schedule.next_due
    firing = _claim(schedule, due, late=late)
    if firing is not None:
        if late and not schedule.catch_up and moment - due > LATE:
            firing.state, firing.reason = FiringState.SKIPPED, "The studio was not running at this time."
        else:
            _start(schedule, firing)
        firing.save(update_fields=["state", "reason", "title", "url", "started_id"])
    if schedule.enabled:
        schedule.next_due = next_times(schedule.cron, schedule.timezone, max(moment, due), 1)[0]
        schedule.last_due = due
        schedule.last_fired = moment
        schedule.save(update_fields=["next_due", "last_due", "last_fired"])


def _claim(schedule: Schedule, due: datetime.datetime, *, late: bool) -> ScheduleFiring | None:
    """The row of this due time, None when there is one already."""
    try:
        with transaction.atomic():
            return ScheduleFiring.objects.create(schedule=schedule, due=due, late=late)
    except IntegrityError:
        return None


def _start(schedule: Schedule, firing: ScheduleFiring) -> None:
    """Let the app start it; write what came of it into the firing."""
    try:
        with transaction.atomic():
            started = _started(schedule, firing.due)
        firing.title, firing.url, firing.started_id = started.title[:200], started.url[:500], started.key
    except (NotFound, Forbidden) as error:
        firing.state, firing.reason = FiringState.FAILED, error.message
        stop_schedule(schedule, error.message)
    except NotNow as error:
        firing.state, firing.reason = FiringState.SKIPPED, error.message
    except AtelierError as error:
        firing.state, firing.reason = FiringState.FAILED, error.message
    except (OperationalError, InterfaceError):
        raise  # the database: all of this is undone, and tried again
    except Exception:
        logger.exception("schedule %s could not start %s", schedule.pk, schedule.kind)
        firing.state = FiringState.FAILED
        firing.reason = f"Something went wrong on our side; {schedule.pk} finds it in the scheduler's log."


def _started(schedule: Schedule, due: datetime.datetime) -> Started:
    kind = kind_called(schedule.kind)
    if kind is None:
        raise NotFound("schedule.kind_unknown", f"This studio does not know how to start {schedule.kind}.")
    user = schedule.acts_as
    if user is None or not user.is_active:
        name = user.label if user is not None else "the person who set it"
        raise Forbidden("schedule.no_right", f"It acted as {name}, whose account is closed.")
    actor = actor_for(user)
    role = role_in_project(actor, schedule.project)
    if role is None or role.rank < Role.CONTRIBUTOR.rank:
        raise Forbidden(
            "schedule.no_right",
            f"It acted as {user.label}, who may no longer change anything in this project.",
        )
    previous = schedule.firings.filter(state=FiringState.FIRED, title__gt="").order_by("-due").first()
    return kind.handler.fire(
        Firing(
            project=schedule.project,
            actor=actor,
            key=schedule.subject_id,
            parameters=schedule.parameters,
            due=due,
            previous=previous.due if previous is not None else None,
            previous_key=previous.started_id if previous is not None else "",
            set_at=schedule.updated_at,
        )
    )


def forget_old() -> int:
    """Remove firings that ended long ago; returns how many."""
    removed, _ = ScheduleFiring.objects.filter(due__lt=clock.now() - KEPT).delete()
    return removed
