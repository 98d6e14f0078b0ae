"""Clocks that are two hours wrong: only the database's is ever compared with a lease."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.arena import LEASE, Arena, until
from tests.faults.clock import wrong_clock

pytestmark = [pytest.mark.fault, pytest.mark.engine]


def test_the_clock_is_really_wrong(tmp_path: Path) -> None:
    wrong = wrong_clock(tmp_path, 2)
    if wrong is None:
        pytest.skip("there is no C compiler to make a wrong clock with")
    code = "import datetime, time; print(time.time(), datetime.datetime.now().timestamp(), time.monotonic())"
    said = subprocess.run([sys.executable, "-c", code], env=wrong, capture_output=True, text=True, check=True)
    right = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ahead = [float(a) - float(b) for a, b in zip(said.stdout.split(), right.stdout.split(), strict=True)]
    assert [round(value / 3600) for value in ahead] == [2, 2, 0]


@pytest.mark.parametrize("hours", [2, pytest.param(-2, marks=pytest.mark.fault("long"))])
def test_a_wrong_clock_takes_no_job_from_anybody(arena: Arena, tmp_path: Path, hours: int) -> None:
    ahead, behind = wrong_clock(tmp_path, hours), wrong_clock(tmp_path, -hours)
    if ahead is None or behind is None:
        pytest.skip("there is no C compiler to make a wrong clock with")
    arena.stop("scheduler", "worker")
    arena.start("scheduler", **ahead)
    arena.start("worker", **behind)
    long = arena.insist(steps=int(LEASE * 1.3 / 0.1), pause=0.1)
    quick = [arena.insist(kind) for kind in ("fault.sandbox", "fault.platform") * 2]
    until(lambda: all(arena.state(job) == "succeeded" for job in [*quick, long]))
    # With a clock in use anywhere each of them would be lost; on a machine in great need one may be.
    assert sum(len(arena.attempts(job)) for job in [*quick, long]) <= 6
    now = arena.sql("select now()")[0][0]
    for job in [*quick, long]:
        for moment in arena.sql("select queued_at, started_at, finished_at from jobs_job where id = %s", job)[
            0
        ]:
            assert abs(now - moment) < datetime.timedelta(hours=1), "every time of a job is the database's"
    arena.stop("scheduler", "worker")
