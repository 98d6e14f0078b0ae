"""Every state has its time: what the supervisor does not end, the reaper does; and what is tried again, when."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models.functions import Now

from apps.jobs import attempts, retries, rules
from apps.jobs.actions import request_cancel
from apps.jobs.attempts import Ending
from apps.jobs.heart import Pulse
from apps.jobs.models import Job, JobAttempt, Worker
from apps.jobs.reaper import STRAY_SECONDS, give_back_strays, reap
from apps.jobs.states import Outcome
from apps.jobs.supervisor import Watch
from foundation.clock import now

pytestmark = pytest.mark.django_db


def ago(seconds: float) -> Any:
    return Now() - datetime.timedelta(seconds=seconds)


def began(job: Job, seconds: float) -> None:
    JobAttempt.objects.filter(job=job).update(started_at=ago(seconds))


def lose(job: Job) -> Job:
    """The lease of a held job runs out and the reaper comes."""
    Job.objects.filter(pk=job.pk).update(lease_expires_at=ago(1))
    reap()
    return Job.objects.get(pk=job.pk)


def test_an_attempt_that_never_begins_goes_back_to_the_queue(claimed: Callable[..., Job]) -> None:
    """Its worker prolongs the lease, and hangs before the program's first line."""
    job = claimed(worker="w1")
    began(job, 2 * rules.START - 5)
    assert reap() == 0
    began(job, 2 * rules.START + 5)
    assert reap() == 1
    job.refresh_from_db()
    lost = job.attempts.get()
    assert (job.state, job.infra_retries_left) == ("queued", 2)
    assert (lost.outcome, lost.error_code) == ("lost", "job.start_timeout")
    assert "did not get the program to its first line" in lost.reason
    assert not attempts.mark_running(job_id=job.pk, fence=1), "the late supervisor is refused"


def test_an_attempt_that_overstays_its_time_is_ended(claimed: Callable[..., Job]) -> None:
    """The supervisor would have stopped it long before: this one hangs, and gives signs of life."""
    job = claimed(timeout=60)
    attempts.mark_running(job_id=job.pk, fence=1)
    Job.objects.filter(pk=job.pk).update(started_at=ago(60 + rules.OVERTIME))
    assert reap() == 0, "it may still be copying what the job has left"
    Job.objects.filter(pk=job.pk).update(started_at=ago(65 + rules.GRACE + rules.OVERTIME))
    assert reap() == 1
    job.refresh_from_db()
    assert (job.state, job.error_code) == ("timed_out", "job.timeout")
    assert job.reason.startswith("It was given 60 s")


def test_a_job_without_a_time_runs_on(claimed: Callable[..., Job]) -> None:
    job = claimed()
    attempts.mark_running(job_id=job.pk, fence=1)
    Job.objects.filter(pk=job.pk).update(started_at=ago(30 * 86_400))
    began(job, 30 * 86_400)
    assert reap() == 0


def test_an_attempt_that_does_not_stop_is_cancelled(claimed: Callable[..., Job]) -> None:
    job = request_cancel(job=claimed(), reason="No longer needed.")
    assert reap() == 0
    Job.objects.filter(pk=job.pk).update(cancel_requested_at=ago(rules.GRACE + rules.OVERSTOP + 1))
    assert reap() == 1
    job.refresh_from_db()
    assert (job.state, job.reason) == ("cancelled", "No longer needed.")


def test_an_attempt_that_began_at_last_is_left_alone(
    claimed: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the reaper's look and its lock the first line was reached."""
    job = claimed()
    began(job, 2 * rules.START + 5)
    real = attempts.finish

    def late(**asked: Any) -> Job | None:
        attempts.mark_running(job_id=job.pk, fence=1)
        return real(**asked)

    monkeypatch.setattr("apps.jobs.reaper.finish", late)
    assert reap() == 0
    job.refresh_from_db()
    assert job.state == "running"


def test_one_that_cannot_be_ended_does_not_keep_the_others(
    claimed: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = claimed(), claimed()
    Job.objects.update(lease_expires_at=ago(1))
    real = attempts.finish

    def finish(**asked: Any) -> Job | None:
        if asked["job_id"] == stuck.pk:
            raise RuntimeError("a bug in whoever owns this job")
        return real(**asked)

    monkeypatch.setattr("apps.jobs.reaper.finish", finish)
    assert reap() == 1
    other.refresh_from_db()
    assert other.state == "queued"


def watch(job: Any, **pulse: Any) -> Watch:
    known = Pulse(job.pk, 1)
    for name, value in pulse.items():
        setattr(known, name, value)
    supervisor: Any = SimpleNamespace(drained_at=None)
    return Watch(job, known, supervisor, began=0.0, launched_at=0.0, clock=lambda: rules.START + 1)


def test_the_supervisor_ends_a_program_that_does_not_begin() -> None:
    job: Any = SimpleNamespace(pk=None, timeout_seconds=None)
    stop = watch(job).decide()
    assert stop is not None
    assert (stop.outcome, stop.code, stop.charged) == (Outcome.LOST, "job.start_timeout", True)
    assert "300 s" in stop.reason or "5 min" in stop.reason
    assert watch(job, started=True).decide() is None


def test_lost_and_failed_attempts_back_off_apart(claimed: Callable[..., Job]) -> None:
    """Three lost ones do not make the first repetition of a failed one wait for minutes."""
    job = claimed(user_retries=2)
    down, failed = Ending("lost", "MLflow does not answer.", "tracking.unavailable"), Ending("failed", "Bad.")
    waits = []
    for ending in (down, down, failed, down, failed):
        done = attempts.finish(job_id=job.pk, fence=job.fence, ending=ending)
        assert done is not None
        assert done.not_before is not None
        waits.append(round((done.not_before - done.queued_at).total_seconds()))
        Job.objects.filter(pk=job.pk).update(not_before=None)
        held = attempts.claim(job_id=job.pk, worker="w", tier=0, lease_seconds=60)
        assert held is not None
        job = held
    assert waits == [5, 30, 5, 120, 30]
    assert (job.infra_retries_left, job.user_retries_left) == (0, 0)


def test_a_worker_that_came_back_did_not_die_of_the_job(claimed: Callable[..., Job]) -> None:
    """The database was away for longer than a lease: all workers lost their jobs, and none is dead."""
    job = claimed(worker="w1")
    for name in ("w1", "w2"):
        Worker.objects.create(name=name, host="here", heartbeat_at=ago(100))
    assert lose(job).state == "queued"
    Worker.objects.filter(name="w1").update(heartbeat_at=now() + datetime.timedelta(seconds=5))
    Job.objects.filter(pk=job.pk).update(not_before=None)
    assert attempts.claim(job_id=job.pk, worker="w2", tier=0, lease_seconds=60) is not None
    found = lose(job)
    assert (found.state, found.error_code) == ("queued", "")
    assert not retries.is_poisonous(found)
    Worker.objects.filter(name="w1").update(heartbeat_at=ago(100))
    assert retries.is_poisonous(found)


def test_a_worker_gives_back_what_it_holds_and_does_not_know(claimed: Callable[..., Job]) -> None:
    """The COMMIT of its claim arrived, the answer did not."""
    known, stray, others = claimed(worker="w1"), claimed(worker="w1"), claimed(worker="w2")
    for job in (known, stray, others):
        began(job, STRAY_SECONDS - 1)
    assert give_back_strays(worker="w1", watched=[(known.pk, 1)]) == 0, "its supervisor may just be starting"
    for job in (known, stray, others):
        began(job, STRAY_SECONDS + 1)
    assert give_back_strays(worker="w1", watched=[(known.pk, 1)]) == 1
    found = {job.pk: job for job in Job.objects.all()}
    assert [found[job.pk].state for job in (known, stray, others)] == ["starting", "queued", "starting"]
    assert (found[stray.pk].infra_retries_left, found[stray.pk].not_before) == (3, None)
