"""A whole studio as people have it, after the tour, whose every process is killed in turn, the keeper's own included."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from runtime.home import Home, read_json
from tests.datasets.test_engine import send
from tests.experiments.test_scripts_engine import form
from tests.faults.arena import exists, until
from tests.support.studio import Studio, temporary_home

pytestmark = [pytest.mark.fault("long"), pytest.mark.engine, pytest.mark.timeout(3600)]

STEPS = 60
SCRIPT = f"""
import time
import mlflow
for step in range({STEPS}):
    mlflow.log_metric("loss", 1 / (step + 1), step=step)
    time.sleep(0.5)
""".encode()
BASE = "/api/v1/projects/tour"
PROCESSES = ("tracking", "web", "scheduler", "serving", "valkey", "postgres", "worker")


class House:
    """The studio, and somebody who asks a deployment all the time."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.token = studio.token()
        rows = self.call("GET", f"{BASE}/deployments/tumours/inferences?limit=1")[1]["results"]
        self.record = rows[0]["features"]
        self.statuses: list[int] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._ask, daemon=True)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request; (0, None) when the connection broke."""
        try:
            return self.studio.call(method, path, body, token=self.token)
        except (OSError, urllib.error.URLError, http.client.HTTPException):
            return 0, None

    def predict(self) -> int:
        """The status of one prediction."""
        return self.call("POST", "/serve/tour/tumours/predict", {"records": [self.record]})[0]

    def _ask(self) -> None:
        while not self.over.wait(0.1):
            self.statuses.append(self.predict())

    def pid(self, name: str) -> int:
        """The process of that name, by the studio's own record; 0 while there is none."""
        found = read_json(Home(self.studio.home).processes).get("processes", {}).get(name)
        return int(found[0]) if found and exists(int(found[0])) else 0

    def models(self) -> list[int]:
        """Processes that serve models."""
        return [
            process.pid
            for process in psutil.process_iter()
            if _says(process, lambda p: "adapters.serving.host" in p.cmdline() and self._is_ours(p))
        ]

    def _is_ours(self, process: psutil.Process) -> bool:
        return str(self.studio.home) in " ".join(process.cmdline())

    def ready(self) -> bool:
        """Whether every part says that it is usable."""
        return self.call("GET", "/readyz")[0] == 200


def _says(process: psutil.Process, what: Callable[[psutil.Process], bool]) -> bool:
    with contextlib.suppress(psutil.Error):
        return what(process)
    return False


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    studio = Studio(temporary_home("faults"))
    try:
        studio.start()
        studio.manage("tour", timeout=1200)
        yield House(studio)
    finally:
        studio.discard()


def test_every_process_is_killed_and_the_work_and_the_predictions_go_on(house: House) -> None:
    assert house.call("PATCH", BASE, {"own_code": True})[0] == 200
    body = form(SCRIPT, {"name": "steady"}, "steady.py")
    status, run = send(house.studio, f"{BASE}/runs", house.token, body)
    assert status == 201, run
    path = f"{BASE}/runs/{run['id']}"
    until(lambda: (house.call("GET", path)[1] or {}).get("metrics"), 120)
    house.thread.start()
    for name in PROCESSES[:-1]:  # the worker's death costs the run its attempt: afterwards
        old = house.pid(name)
        os.kill(old, signal.SIGKILL)
        until(lambda name=name, old=old: house.pid(name) not in (0, old), 120)
        until(house.ready, 180)
        until(lambda: house.predict() == 200, 120)
    for model in house.models():
        os.kill(model, signal.SIGKILL)
    until(lambda: house.models() and house.predict() == 200, 180)
    hung = house.models()[0]
    os.kill(hung, signal.SIGSTOP)
    until(lambda: not exists(hung), 180)  # one that hangs is found and ended
    until(lambda: house.predict() == 200, 180)
    house.over.set()
    house.thread.join()
    assert set(house.statuses) <= {0, 200, 502, 503, 504}, set(house.statuses)
    until(
        lambda: (house.call("GET", path)[1] or {}).get("state") not in ("queued", "starting", "running"), 300
    )
    found = house.call("GET", path)[1]
    assert found["state"] == "succeeded", found
    points = house.call("GET", f"{path}/metrics/loss")[1]
    assert f'"step": {STEPS - 1}' in str(points).replace("'", '"')

    status, run = send(house.studio, f"{BASE}/runs", house.token, form(SCRIPT, {"name": "twice"}, "twice.py"))
    assert status == 201
    path = f"{BASE}/runs/{run['id']}"
    until(lambda: house.call("GET", path)[1]["state"] == "running", 120)
    os.kill(house.pid("worker"), signal.SIGKILL)
    until(lambda: house.call("GET", path)[1]["state"] == "succeeded", 300)


def test_a_killed_keeper_leaves_nothing_and_the_next_start_serves_again(house: House) -> None:
    studio = house.studio
    assert studio.process is not None
    mine = psutil.Process(studio.process.pid).children(recursive=True)
    studio.process.kill()
    studio.process.wait()
    deadline = time.monotonic() + 60
    while any(exists(one.pid) for one in mine) and time.monotonic() < deadline:
        time.sleep(0.2)
    studio.start()
    assert [one.pid for one in mine if exists(one.pid)] == [], "nothing of the killed one runs on"
    until(lambda: house.predict() == 200, 180)
    until(lambda: house.call("GET", f"{BASE}/deployments/tumours")[1]["state"] == "ready", 180)
