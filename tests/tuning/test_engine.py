"""A study in the running studio, whose scheduler and worker are killed in the middle."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from runtime.home import Home, read_json
from tests.datasets.test_engine import send, settled
from tests.datasets.test_upload_stage import multipart
from tests.support.studio import Studio

pytestmark = pytest.mark.engine
CHURN = b"age,city,left\n" + b"".join(
    b"%d,%s,%s\n" % (20 + n % 50, b"Rome" if n % 3 else b"Oslo", b"yes" if n % 50 > 24 else b"no")
    for n in range(200)
)


def pid_of(studio: Studio, name: str) -> int:
    """The process of that name, by the studio's own record; 0 while there is none."""
    found = read_json(Home(studio.home).processes)["processes"].get(name)
    return int(found[0]) if found else 0


def wait(what: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come about in time")


@pytest.mark.fault
def test_a_study_whose_scheduler_and_worker_are_killed_makes_exactly_its_trials(studio: Studio) -> None:
    token = studio.token()
    slug = f"tuning-{uuid.uuid4().hex[:8]}"
    body = {"slug": slug, "name": "Tuning", "team": "studio"}
    status, answer = studio.call("POST", "/api/v1/projects", body, token=token)
    assert status == 201, answer
    send(studio, f"/api/v1/projects/{slug}/datasets", token, multipart(CHURN, fields={"name": "churn"}))
    assert settled(studio, token, slug, "churn")["state"] == "ready"

    studies = f"/api/v1/projects/{slug}/studies"
    body = {
        "name": "faults",
        "dataset": "churn",
        "target": "left",
        "algorithm": "linear",
        "search_space": {"C": {}},
        "n_trials": 5,
        "parallelism": 2,
    }
    status, answer = studio.call("POST", studies, body, token=token)
    assert status == 201, answer

    def study() -> dict[str, Any]:
        found: dict[str, Any] = studio.call("GET", f"{studies}/faults", token=token)[1]
        return found

    def told() -> int:
        now = study()
        return int(now["n_complete"] + now["n_pruned"] + now["n_failed"])

    wait(lambda: study()["n_running"])
    scheduler = pid_of(studio, "scheduler")
    os.kill(scheduler, signal.SIGKILL)
    wait(lambda: told() >= 1)
    worker = pid_of(studio, "worker")
    os.kill(worker, signal.SIGKILL)
    wait(lambda: study()["state"] not in ("queued", "running", "stopping"))

    over = study()
    trials = studio.call("GET", f"{studies}/faults/trials", token=token)[1]["results"]
    assert (over["state"], over["reason"]) == ("completed", "")
    assert [trial["number"] for trial in trials] == list(range(5))
    assert {trial["state"] for trial in trials} <= {"complete", "pruned"}
    assert all(trial["finished_at"] for trial in trials)
    runs = studio.call("GET", f"/api/v1/projects/{slug}/runs?limit=100", token=token)[1]["results"]
    children = [run for run in runs if run["parent"] == over["run"]]
    assert {run["id"] for run in children} == {trial["run"] for trial in trials}
    assert len(runs) == 6, "the trials' and the study's own; nothing was made twice"
    assert {run["state"] for run in runs} == {"succeeded"}
    best = next(run for run in runs if run["id"] == over["best_trial"]["run"])
    assert best["model"]["id"].startswith("m-")
    assert pid_of(studio, "scheduler") != scheduler
    assert pid_of(studio, "worker") != worker
