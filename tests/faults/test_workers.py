"""Workers, launchers and children that die, freeze or are told to stop, at every point of an attempt."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.faults.arena import LEASE, Arena, exists, until
from tests.faults.kinds import ENGINE_POINTS, HANDLER_POINTS

pytestmark = [pytest.mark.fault, pytest.mark.engine]
LONG_WORK = {"steps": 600, "pause": 0.1}


def test_a_worker_that_dies_at_any_point_of_an_attempt_loses_no_job_and_does_none_twice(arena: Arena) -> None:
    # One slot each: nobody else's job dies with the one that kills its worker.
    arena.stop("worker")
    arena.start("worker", "worker-2", ATELIER_WORKERS="1")
    points = [("fault.sandbox", point) for point in (*ENGINE_POINTS, *HANDLER_POINTS)]
    points += [("fault.platform", point) for point in ("claimed", "started", "complete")]
    arena.random.shuffle(points)
    with arena.kept_alive("worker", "worker-2"):
        jobs = {arena.insist(kind, crash=point): point for kind, point in points}
        arena.settle()
    crashed = {fact["job"]: fact["point"] for fact in arena.facts("crash")}
    assert {job: crashed.get(job) for job in jobs} == jobs, "each died where it should"
    for job, point in jobs.items():
        outcomes = [outcome for _, outcome, _ in arena.attempts(job)]
        assert (arena.state(job), outcomes[-1]) == ("succeeded", "succeeded"), (point, outcomes)
        if point == "finished":
            assert outcomes == ["succeeded"], "it was over before its worker died"
        else:
            assert set(outcomes[:-1]) == {"lost"}, point
            assert "job.worker_lost" in [code for _, _, code in arena.attempts(job)], point


@pytest.mark.parametrize("victim", ["child", "launcher"])
def test_a_child_or_its_launcher_that_is_killed_from_outside_is_repeated(arena: Arena, victim: str) -> None:
    job = arena.insist(steps=300, pause=0.1)
    begun = until(lambda: arena.facts("begin", job=job))[0]["pid"]
    until(lambda: arena.state(job) == "running")
    launcher = psutil.Process(begun).ppid()
    os.kill(begun if victim == "child" else launcher, signal.SIGKILL)
    until(lambda: arena.attempts(job)[0][1] == "lost")
    assert arena.attempts(job)[0][2] == ("job.killed" if victim == "child" else "job.launcher_lost")
    until(lambda: not exists(begun))
    arena.sql("update jobs_job set spec = '{}' where id = %s", job)
    arena.hurry()
    until(lambda: arena.state(job) == "succeeded")


def test_a_job_that_kills_every_worker_is_not_given_to_a_third(arena: Arena) -> None:
    arena.stop("worker")
    arena.start("worker", ATELIER_WORKERS="1")
    job = arena.insist(**LONG_WORK)
    with arena.kept_alive("worker"):
        for fence in (1, 2):
            until(lambda fence=fence: [f for f in arena.facts("begin", job=job) if f["fence"] == fence])
            arena.processes["worker"].kill()
            until(lambda fence=fence: arena.attempts(job)[fence - 1][1] == "lost")
        until(lambda: arena.state(job) == "errored")
    code, reason = arena.sql("select error_code, reason from jobs_job where id = %s", job)[0]
    assert code == "job.poison"
    assert "2 different workers" in reason
    assert len(arena.attempts(job)) == 2


def test_a_worker_frozen_for_two_leases_writes_nothing_when_it_wakes(arena: Arena) -> None:
    job = arena.insist(knock=True, **LONG_WORK)
    until(lambda: arena.facts("knock", job=job))
    old = arena.facts("begin", job=job)[0]["pid"]
    arena.freeze("worker")
    arena.start("worker-2")
    second = until(lambda: [fact for fact in arena.facts("begin", job=job) if fact["fence"] == 2])[0]
    until(lambda: arena.facts("step", job=job)[-1]["at"] > second["at"] + LEASE, 60)
    arena.thaw("worker")
    until(lambda: not exists(old))
    fence, state = arena.sql("select fence, state from jobs_job where id = %s", job)[0]
    assert (fence, state) == (2, "running"), "the one that woke took nothing back"
    assert arena.cancel(job).status == 200
    until(lambda: arena.state(job) == "cancelled")
    knocks = arena.facts("knock", job=job)
    late = [f["status"] for f in knocks if f["fence"] == 1 and f["asked"] > second["at"] + LEASE]
    assert set(late) <= {401}, "the token of the old attempt died with it"
    assert 200 in [f["status"] for f in knocks if f["fence"] == 2]


def test_everything_told_to_stop_under_load_goes_on_where_it_was(arena: Arena) -> None:
    arena.start("worker-2")
    jobs = [arena.insist(steps=5, pause=0.1) for _ in range(12)]
    slow = arena.insist(**LONG_WORK)
    until(lambda: arena.facts("begin", job=slow) or arena.live() == [])
    arena.stop("worker", "worker-2", "scheduler", "web")
    assert not arena.strays(), "nothing runs on"
    held = arena.sql("select count(*) from jobs_job where state in ('starting', 'running', 'stopping')")
    assert held == [(0,)], "what ran went back to the queue before its worker ended"
    charged = arena.sql("select charged from jobs_jobattempt where error_code = 'job.drained'")
    assert set(charged) == {(False,)}, "nobody was charged for it"
    arena.start("web", "scheduler", "worker")
    until(lambda: all(arena.state(job) == "succeeded" for job in jobs), 90)
    assert arena.cancel(slow).status == 200
