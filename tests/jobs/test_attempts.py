"""Claims, leases, fences, and the one end of an attempt."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from apps.jobs import attempts
from apps.jobs.actions import request_cancel
from apps.jobs.attempts import Ending
from apps.jobs.logs import read_log
from apps.jobs.models import Job, JobAttempt, Outbox, Worker
from apps.jobs.reaper import reap, reap_predecessors, sweep
from foundation.clock import now

pytestmark = pytest.mark.django_db
LOST = Ending("lost", "The worker went away.")


def lose(job: Job, worker: str = "") -> Job | None:
    """The lease of a held job runs out and the reaper comes."""
    Job.objects.filter(pk=job.pk).update(lease_expires_at=Now() - datetime.timedelta(seconds=1))
    reap()
    return Job.objects.get(pk=job.pk)


def claim_again(job: Job, worker: str) -> Job:
    Job.objects.filter(pk=job.pk).update(not_before=None)
    held = attempts.claim(job_id=job.pk, worker=worker, tier=0, lease_seconds=60)
    assert held is not None
    return held


def test_a_claim_raises_the_fence_and_opens_an_attempt(claimed: Callable[..., Job]) -> None:
    job = claimed(worker="w7")
    assert (job.state, job.fence, job.worker) == ("starting", 1, "w7")
    assert list(job.attempts.values_list("number", "worker", "outcome")) == [(1, "w7", "")]


def test_a_second_claim_gets_nothing(claimed: Callable[..., Job]) -> None:
    job = claimed()
    assert attempts.claim(job_id=job.pk, worker="w2", tier=0, lease_seconds=60) is None


def test_a_job_is_not_claimed_before_its_time(submit: Callable[..., Job]) -> None:
    job = submit(not_before=now() + datetime.timedelta(minutes=5))
    assert attempts.claim(job_id=job.pk, worker="w", tier=0, lease_seconds=60) is None


def test_a_worker_with_too_weak_isolation_does_not_get_it(submit: Callable[..., Job]) -> None:
    job = submit()
    Job.objects.filter(pk=job.pk).update(minimum_tier=2)
    assert attempts.claim(job_id=job.pk, worker="w", tier=1, lease_seconds=60) is None


@pytest.mark.django_db(transaction=True)
def test_ten_claims_at_once_give_one_attempt(submit: Callable[..., Job]) -> None:
    job = submit()
    barrier = threading.Barrier(10)
    won: list[Job | None] = []

    def claim(number: int) -> None:
        try:
            barrier.wait(10)
            won.append(attempts.claim(job_id=job.pk, worker=f"w{number}", tier=0, lease_seconds=60))
        finally:
            connection.close()

    threads = [threading.Thread(target=claim, args=[number]) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(won) == 10
    assert [held.fence for held in won if held is not None] == [1]
    assert JobAttempt.objects.filter(job=job).count() == 1


@pytest.mark.django_db(transaction=True)
def test_only_one_of_many_ends_is_written(claimed: Callable[..., Job], ledger: dict[str, list[Any]]) -> None:
    job = claimed()
    barrier = threading.Barrier(6)
    written: list[Job | None] = []

    def end(outcome: str) -> None:
        try:
            barrier.wait(10)
            written.append(attempts.finish(job_id=job.pk, fence=1, ending=Ending(outcome)))
        finally:
            connection.close()

    outcomes = ["succeeded", "failed", "errored", "cancelled", "timed_out", "succeeded"]
    threads = [threading.Thread(target=end, args=[outcome]) for outcome in outcomes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len([done for done in written if done is not None]) == 1
    assert len(ledger["complete"]) + len(ledger["ended"]) == 1


def test_a_heartbeat_prolongs_the_lease_and_tells_of_a_cancellation(claimed: Callable[..., Job]) -> None:
    job = claimed(lease=5)
    before = job.lease_expires_at
    beat = attempts.heartbeat(job_id=job.pk, fence=1, lease_seconds=60, progress={"step": 1})
    assert beat is not None
    assert not beat.cancel_requested
    job.refresh_from_db()
    assert before is not None
    assert job.lease_expires_at is not None
    assert job.lease_expires_at > before
    assert job.progress == {"step": 1}
    request_cancel(job=job)
    beat = attempts.heartbeat(job_id=job.pk, fence=1, lease_seconds=60)
    assert beat is not None
    assert beat.cancel_requested


def test_a_stale_fence_can_write_nothing(claimed: Callable[..., Job], ledger: dict[str, list[Any]]) -> None:
    job = claimed(worker="w1")
    lose(job)
    held = claim_again(job, "w2")
    assert held.fence == 2
    assert attempts.heartbeat(job_id=job.pk, fence=1, lease_seconds=60, progress={"step": 9}) is None
    assert attempts.look(job_id=job.pk, fence=1) is None
    assert attempts.mark_running(job_id=job.pk, fence=1) is False
    assert attempts.finish(job_id=job.pk, fence=1, ending=Ending("succeeded", result={"a": 1})) is None
    job.refresh_from_db()
    assert (job.state, job.fence, job.worker, job.progress, job.result) == ("starting", 2, "w2", {}, None)
    assert ledger["complete"] == []
    done = attempts.finish(job_id=job.pk, fence=2, ending=Ending("succeeded", result={"a": 2}))
    assert done is not None
    assert done.result == {"a": 2}
    assert list(job.attempts.values_list("number", "outcome")) == [(1, "lost"), (2, "succeeded")]


def test_the_reaper_returns_a_lost_job_to_the_queue_with_its_doorbell(claimed: Callable[..., Job]) -> None:
    job = claimed()
    Outbox.objects.all().delete()
    found = lose(job)
    assert found is not None
    assert (found.state, found.worker, found.infra_retries_left) == ("queued", "", 2)
    assert Outbox.objects.filter(job=job).count() == 1
    seconds = job.attempts.get().wall_seconds
    assert seconds is not None
    assert 0 <= seconds < 60


def test_the_reaper_finds_a_lease_that_is_null(claimed: Callable[..., Job]) -> None:
    job = claimed()
    Job.objects.filter(pk=job.pk).update(lease_expires_at=None, heartbeat_at=None)
    assert reap() == 1
    job.refresh_from_db()
    assert job.state == "queued"


def test_the_reaper_leaves_a_living_attempt_alone(claimed: Callable[..., Job]) -> None:
    job = claimed()
    assert reap() == 0
    late = attempts.finish(job_id=job.pk, fence=1, ending=LOST, only=attempts.EXPIRED)
    assert late is None


def test_a_job_that_lost_two_different_workers_is_not_tried_again(
    claimed: Callable[..., Job], ledger: dict[str, list[Any]]
) -> None:
    job = claimed(worker="w1")
    lose(job)
    claim_again(job, "w2")
    found = lose(job)
    assert found is not None
    assert (found.state, found.error_code) == ("errored", "job.poison")
    assert [entry[2] for entry in ledger["ended"]] == ["errored"]


def test_a_job_ends_when_its_infra_retries_are_used_up(claimed: Callable[..., Job]) -> None:
    job = claimed(worker="w1")
    for _ in range(3):
        found = lose(job)
        assert found is not None
        assert found.state == "queued"
        claim_again(job, "w1")
    found = lose(job)
    assert found is not None
    assert (found.state, found.error_code) == ("errored", "job.lost")


def test_a_component_that_is_down_poisons_nothing(claimed: Callable[..., Job]) -> None:
    job = claimed(worker="w1")
    down = Ending("lost", "MLflow does not answer.", "tracking.unavailable")
    for worker in ("w2", "w3"):
        found = attempts.finish(job_id=job.pk, fence=job.fence, ending=down)
        assert found is not None
        assert (found.state, found.not_before is None) == ("queued", False), "it waits a little"
        job = claim_again(job, worker)


def test_a_drained_attempt_is_not_charged(claimed: Callable[..., Job]) -> None:
    job = claimed(worker="w1")
    for worker in ("w2", "w3", "w4", "w5"):
        done = attempts.finish(
            job_id=job.pk, fence=job.fence, ending=Ending("lost", "Stopped.", charged=False)
        )
        assert done is not None
        assert (done.state, done.infra_retries_left, done.not_before) == ("queued", 3, None)
        job = claim_again(job, worker)


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(claimed: Callable[..., Job]) -> None:
    job = request_cancel(job=claimed(), reason="No longer needed.")
    found = lose(job)
    assert found is not None
    assert (found.state, found.reason) == ("cancelled", "No longer needed.")


def test_success_that_comes_after_a_cancellation_is_a_cancellation(
    claimed: Callable[..., Job], ledger: dict[str, list[Any]]
) -> None:
    job = request_cancel(job=claimed())
    done = attempts.finish(job_id=job.pk, fence=1, ending=Ending("succeeded", result={"a": 1}))
    assert done is not None
    assert (done.state, done.result) == ("cancelled", None)
    assert ledger["complete"] == []


def test_a_failed_attempt_is_repeated_only_when_asked(claimed: Callable[..., Job]) -> None:
    done = attempts.finish(job_id=claimed().pk, fence=1, ending=Ending("failed", "Bad data."))
    assert done is not None
    assert done.state == "failed"
    job = claimed(user_retries=1)
    done = attempts.finish(job_id=job.pk, fence=1, ending=Ending("failed", "Bad luck."))
    assert done is not None
    assert (done.state, done.user_retries_left, done.infra_retries_left) == ("queued", 0, 3)
    claim_again(job, "w1")
    done = attempts.finish(job_id=job.pk, fence=2, ending=Ending("failed", "Bad luck."))
    assert done is not None
    assert (done.state, done.reason) == ("failed", "Bad luck.")


@pytest.mark.parametrize(
    ("trouble", "state", "code"),
    [("refuse", "failed", "test.refused"), ("bug", "errored", "job.internal")],
)
def test_a_success_that_cannot_be_recorded_leaves_nothing_half_made(
    claimed: Callable[..., Job], ledger: dict[str, list[Any]], trouble: str, state: str, code: str
) -> None:
    job = claimed(**{trouble: "complete"})
    done = attempts.finish(job_id=job.pk, fence=1, ending=Ending("succeeded", result={"a": 1}))
    assert done is not None
    assert (done.state, done.error_code, done.result) == (state, code, None)
    assert [entry[2] for entry in ledger["ended"]] == [state]
    assert list(job.attempts.values_list("outcome", flat=True)) == [state]


def test_a_handler_that_cannot_be_told_does_not_keep_a_job_from_ending(claimed: Callable[..., Job]) -> None:
    job = claimed(bug="ended")
    done = attempts.finish(job_id=job.pk, fence=1, ending=Ending("failed", "Bad data."))
    assert done is not None
    assert done.state == "failed"


def test_a_new_worker_ends_what_its_dead_predecessor_held(
    claimed: Callable[..., Job], tmp_path: Path, store: Any
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name, host, pid in (
        ("dead", "h", gone.pid),
        ("alive", "h", os.getppid()),
        ("elsewhere", "o", gone.pid),
    ):
        Worker.objects.create(name=name, host=host, pid=pid)
    jobs = {worker: claimed(worker=worker) for worker in ("dead", "alive", "elsewhere")}
    assert reap_predecessors(host="h", attempts_dir=tmp_path) == 0, "it ran in another home"
    for job in jobs.values():
        (tmp_path / str(job.pk) / "1").mkdir(parents=True)
        (tmp_path / str(job.pk) / "1" / "log.txt").write_text("so far so good")
    assert reap_predecessors(host="h", attempts_dir=tmp_path) == 1
    states = {worker: Job.objects.get(pk=job.pk).state for worker, job in jobs.items()}
    assert states == {"dead": "queued", "alive": "starting", "elsewhere": "starting"}
    assert read_log(jobs["dead"], attempt=1).text == "so far so good"


def test_the_sweeper_rings_again_when_a_slot_is_free(submit: Callable[..., Job]) -> None:
    job = submit()
    Outbox.objects.all().delete()
    assert sweep(overdue=0) == 0, "nobody is there to hear it"
    Worker.objects.create(name="w", host="h", slots=1, queues=["cpu"])
    assert sweep(overdue=0) == 1
    assert Outbox.objects.get().job_id == job.pk
    assert sweep(overdue=0) == 0, "it has been rung for already"
    submit(queue="gpu")
    Outbox.objects.all().delete()
    Job.objects.filter(pk=job.pk).delete()
    assert sweep(overdue=0) == 0, "nobody serves that queue, a ring would stay in the broker for ever"


def test_the_sweeper_is_quiet_while_all_slots_are_busy(
    submit: Callable[..., Job], claimed: Callable[..., Job]
) -> None:
    Worker.objects.create(name="w", host="h", slots=1, queues=["cpu"])
    claimed(worker="w")
    submit()
    Outbox.objects.all().delete()
    assert sweep(overdue=0) == 0
