"""Valkey forgets everything, dies, freezes, or says everything ten times: jobs live in PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.faults.arena import Arena, until
from tests.support.studio import ROOT

pytestmark = [pytest.mark.fault, pytest.mark.engine]

RING = """
import sys, threading
from apps.jobs.doorbell import make_celery, ring
from runtime.config import load
doors = [(job, "cpu") for job in sys.argv[1:]]
app = make_celery(load().broker_url)
threads = [threading.Thread(target=ring, args=(app, doors)) for _ in range(10)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@pytest.mark.parametrize("fault", ["flushed", "killed", "frozen"])
def test_work_survives_a_broker_that_is(arena: Arena, fault: str) -> None:
    arena.stop("worker")  # so that the messages are in the broker when it happens
    jobs = [arena.insist(kind) for kind in ("fault.sandbox", "fault.platform") * 4]
    until(lambda: arena.sql("select count(*) from jobs_outbox") == [(0,)])
    broker = arena.servers.broker
    assert broker is not None
    if fault == "flushed":
        arena.servers.flush_broker()
    elif fault == "killed":
        arena.servers.kill_broker()
    else:
        os.kill(broker.pid, signal.SIGSTOP)
    during = [arena.submit() for _ in range(4)]
    assert all(during), "work is accepted without a broker"
    arena.start("worker")
    # A worker without a bell helps itself to what has waited for too long.
    until(lambda: all(arena.state(job) == "succeeded" for job in jobs), 90)
    if fault == "frozen":
        os.kill(broker.pid, signal.SIGCONT)
    arena.servers.start_broker()
    until(lambda: all(arena.state(job) == "succeeded" for job in during), 60)


def test_the_same_message_ten_times_at_once_runs_the_job_once(arena: Arena) -> None:
    arena.start("worker-2")
    jobs = [arena.insist(steps=2, pause=0.02) for _ in range(5)]
    done = subprocess.run(
        [sys.executable, "-c", RING, *jobs],
        env=arena.environment(DJANGO_SETTINGS_MODULE="atelier.settings"),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    until(lambda: all(arena.state(job) == "succeeded" for job in jobs))
    for job in jobs:
        # On a machine in great need an attempt may be lost; no attempt runs twice.
        assert len(arena.facts("begin", job=job)) == len(arena.attempts(job)) <= 2


def test_cancelling_and_finishing_at_the_same_moment_makes_one_end(arena: Arena) -> None:
    jobs = [arena.insist(steps=1, pause=0.05) for _ in range(8)]
    threads = [threading.Thread(target=arena.cancel, args=(job,)) for job in jobs for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    arena.settle()
    assert {arena.state(job) for job in jobs} <= {"succeeded", "cancelled"}
    for job in arena.cancelled & set(jobs):
        assert arena.state(job) == "cancelled", "who was told that it is cancelled finds it cancelled"
