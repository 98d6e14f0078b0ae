"""Submitting and cancelling, and the transition table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.jobs import attempts
from apps.jobs.actions import request_cancel, submit
from apps.jobs.models import Job, JobEvent, Outbox
from apps.jobs.states import ACTIVE, CANCELLABLE, LIVE, TERMINAL, TRANSITIONS, JobState
from foundation.errors import Conflict

pytestmark = pytest.mark.django_db


def kinds_of(job: Job) -> list[str]:
    return list(JobEvent.objects.filter(job_id=job.pk).values_list("kind", flat=True))


def test_the_named_sets_cover_every_state() -> None:
    assert set(JobState) == LIVE | TERMINAL
    assert not LIVE & TERMINAL
    assert ACTIVE < LIVE
    assert CANCELLABLE < LIVE


def test_nothing_leaves_a_terminal_state() -> None:
    assert not [state for state in TERMINAL for to in JobState if TRANSITIONS.allows(state, to)]


@pytest.mark.parametrize("state", sorted(LIVE))
def test_every_live_state_can_end(state: str) -> None:
    assert [to for to in TERMINAL if TRANSITIONS.allows(state, to)]


def test_it_writes_job_outbox_and_event_together(submit: Callable[..., Job]) -> None:
    job = submit(subject=("dataset_version", "abc"), priority=3, timeout=60)
    assert (job.state, job.where, job.fence, job.timeout_seconds) == ("queued", "sandbox", 0, 60)
    assert list(Outbox.objects.filter(job=job).values_list("queue", flat=True)) == ["cpu"]
    assert kinds_of(job) == ["queued"]
    assert list(Job.objects.about("dataset_version", "abc")) == [job]


def test_it_disappears_with_the_callers_transaction(submit: Callable[..., Job]) -> None:
    with transaction.atomic():
        job = submit()
        transaction.set_rollback(True)
    assert not Job.objects.filter(pk=job.pk).exists()
    assert not Outbox.objects.filter(job_id=job.pk).exists()


def test_it_refuses_an_unknown_kind() -> None:
    with pytest.raises(LookupError):
        submit(kind="no.such", project=None, created_by=None, spec={}, title="x")


def test_it_cancels_a_waiting_job_at_once(submit: Callable[..., Job], ledger: dict[str, list[Any]]) -> None:
    job = request_cancel(job=submit())
    assert (job.state, job.reason) == ("cancelled", "Cancelled by Atelier.")
    assert job.finished_at is not None
    assert ledger["ended"] == [(job.pk, 0, "cancelled")]
    assert kinds_of(job) == ["queued", "cancelled"]


def test_it_asks_a_held_job_to_stop(claimed: Callable[..., Job]) -> None:
    job = request_cancel(job=claimed())
    assert job.state == "stopping"
    assert job.cancel_requested_at is not None
    assert job.finished_at is None


def test_it_may_be_asked_twice(claimed: Callable[..., Job]) -> None:
    job = request_cancel(job=claimed())
    again = request_cancel(job=job)
    assert again.cancel_requested_at == job.cancel_requested_at
    assert kinds_of(job).count("stopping") == 1


def test_it_cannot_cancel_what_is_over(claimed: Callable[..., Job]) -> None:
    job = claimed()
    attempts.finish(job_id=job.pk, fence=job.fence, ending=attempts.Ending("succeeded"))
    with pytest.raises(Conflict) as caught:
        request_cancel(job=job)
    assert caught.value.code == "job.finished"


def test_history_is_not_rewritten(submit: Callable[..., Job]) -> None:
    event = JobEvent.objects.get(job_id=submit().pk)
    event.message = "something else"
    with pytest.raises(TypeError):
        event.save()


@pytest.mark.parametrize(
    "change", ["UPDATE jobs_jobevent SET message = 'other'", "DELETE FROM jobs_jobevent"]
)
def test_nor_is_it_by_sql(submit: Callable[..., Job], change: str) -> None:
    submit()
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change)
