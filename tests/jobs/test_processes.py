"""The real worker and scheduler as processes, with a broker that can be taken away."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.jobs.actions import request_cancel
from apps.jobs.models import Job, Outbox, Worker
from runtime import children, valkey
from runtime.home import make_socket_folder, remove_socket_folder
from tests.jobs.test_executor_contract import until
from tests.jobs.test_local_executor import alive

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Floor:
    """Where workers, schedulers and a broker of our own run."""

    folder: Path
    logs: Path
    broker: Any = None
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_broker(self) -> None:
        command = valkey.command(None, self.folder, "pw")
        self.broker = children.spawn(command, self.logs / "valkey.log")
        valkey.wait_until_ready(valkey.url(self.folder, "pw"), self.broker)

    def stop_broker(self) -> None:
        self.broker.kill()
        self.broker.wait()

    def start(self, *names: str) -> subprocess.Popen[bytes]:
        """Start processes side by side and wait until all have registered. Returns the last."""
        fresh = {name: self._spawn(name) for name in names}
        for name, process in fresh.items():
            row = Worker.objects.filter(kind=name, pid=process.pid)
            until(lambda row=row, process=process: row.exists() or process.poll() is not None)
            assert process.poll() is None, (self.logs / f"{name}.log").read_text()
        return fresh[names[-1]]

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.jobs.process", name],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
                    "ATELIER_REDIS_URL": valkey.url(self.folder, "pw"),
                    "ATELIER_WORKERS": "2",
                    "ATELIER_LEASE_SECONDS": "4",
                    "ATELIER_DRAIN_SECONDS": "0.5",
                    "ATELIER_GRACE_SECONDS": "0.5",
                    "ATELIER_ISOLATION": "0",  # the programs of the tests lie outside of what jobs may read
                },
            )
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def floor(tmp_path: Path, store: Any) -> Iterator[Floor]:
    folder = make_socket_folder()
    floor = Floor(folder, tmp_path)
    floor.start_broker()
    yield floor
    floor.end()
    floor.stop_broker()
    remove_socket_folder(folder)


def state_of(job: Job) -> str:
    return str(Job.objects.values_list("state", flat=True).get(pk=job.pk))


def is_over(job: Job) -> bool:
    return state_of(job) in ("succeeded", "failed", "errored", "cancelled", "timed_out")


def test_it_starts_a_job_at_once_and_drains_many(floor: Floor, submit: Callable[..., Job]) -> None:
    floor.start("scheduler", "worker")
    first = submit(program="echo")
    until(lambda: is_over(first))
    waits: list[float] = []
    for _ in range(15):
        job = submit(program="echo")
        until(lambda job=job: is_over(job))
        job.refresh_from_db()
        assert job.state == "succeeded"
        assert job.started_at is not None
        waits.append((job.started_at - job.queued_at).total_seconds() * 1000)
    print(f"submit to first line: median {statistics.median(waits):.0f} ms, worst {max(waits):.0f} ms")
    jobs = [submit("test.platform") for _ in range(20)] + [submit(program="echo") for _ in range(20)]
    until(lambda: not Job.objects.live().exists())
    assert {state_of(job) for job in jobs} == {"succeeded"}
    assert not Outbox.objects.exists()


def test_it_cancels_through_all_processes(floor: Floor, submit: Callable[..., Job]) -> None:
    floor.start("scheduler", "worker")
    job = submit(program="loops")
    until(lambda: state_of(job) == "running")
    request_cancel(job=job)
    until(lambda: state_of(job) == "cancelled")


def test_a_killed_worker_loses_its_job_to_the_next(
    floor: Floor, submit: Callable[..., Job], tmp_path: Path
) -> None:
    first = floor.start("scheduler", "worker")
    pids = tmp_path / "pids"
    job = submit(program="stubborn", plan={"payload": {"pids": str(pids)}}, timeout=60)
    until(lambda: state_of(job) == "running" and pids.exists())
    family = json.loads(pids.read_text())
    first.kill()
    first.wait()
    until(lambda: not any(alive(pid) for pid in family))
    pids.unlink()
    floor.start("worker")
    until(lambda: pids.exists() and state_of(job) == "running")
    request_cancel(job=job)
    until(lambda: is_over(job))
    assert list(job.attempts.values_list("number", "outcome")) == [(1, "lost"), (2, "cancelled")]


def test_a_worker_that_is_stopped_returns_its_job_uncharged(floor: Floor, submit: Callable[..., Job]) -> None:
    worker = floor.start("scheduler", "worker")
    job = submit(program="loops")
    until(lambda: state_of(job) == "running")
    worker.terminate()
    assert worker.wait(20) == 0, (floor.logs / "worker.log").read_text()
    assert state_of(job) == "queued"
    job.refresh_from_db()
    assert job.infra_retries_left == 3
    assert Worker.objects.get(kind="worker").stopped_at is not None


def test_work_is_accepted_without_a_broker_and_starts_when_it_is_back(
    floor: Floor, submit: Callable[..., Job]
) -> None:
    floor.start("scheduler", "worker")
    floor.stop_broker()
    job = submit(program="echo")
    assert state_of(job) == "queued"
    floor.start_broker()
    until(lambda: is_over(job))
    assert state_of(job) == "succeeded"
    until(lambda: not Outbox.objects.exists())


def test_work_is_not_lost_when_the_broker_forgets_everything(
    floor: Floor, submit: Callable[..., Job]
) -> None:
    floor.start("scheduler")
    jobs = [submit(program="echo") for _ in range(4)]
    until(lambda: not Outbox.objects.exists())
    floor.stop_broker()
    floor.start_broker()
    floor.start("worker")
    until(lambda: all(is_over(job) for job in jobs))


def test_a_frozen_worker_does_no_harm_when_it_wakes(
    floor: Floor, submit: Callable[..., Job], tmp_path: Path
) -> None:
    frozen = floor.start("scheduler", "worker")
    pids = tmp_path / "pids"
    job = submit(program="stubborn", plan={"payload": {"pids": str(pids)}}, timeout=120)
    until(lambda: state_of(job) == "running" and pids.exists())
    old = json.loads(pids.read_text())[0]
    pids.unlink()
    os.kill(frozen.pid, signal.SIGSTOP)
    floor.start("worker")
    until(lambda: pids.exists() and state_of(job) == "running")
    os.kill(frozen.pid, signal.SIGCONT)
    until(lambda: not alive(old))
    job.refresh_from_db()
    assert (job.state, job.fence) == ("running", 2)
    request_cancel(job=job)
    until(lambda: is_over(job))
    assert list(job.attempts.values_list("outcome", flat=True)) == ["lost", "cancelled"]


def test_a_worker_ends_although_the_database_is_gone(floor: Floor, tmp_path: Path) -> None:
    worker = floor.start("worker")
    os.kill(worker.pid, signal.SIGSTOP)
    worker.send_signal(signal.SIGTERM)
    # Connecting is impossible from now on, as when a whole machine goes down in no particular order.
    hidden = tmp_path / "hidden"
    socket = Path(settings.DATABASES["default"]["HOST"]) / ".s.PGSQL.5432"
    socket.rename(hidden)
    try:
        os.kill(worker.pid, signal.SIGCONT)
        assert worker.wait(60) == 0, (floor.logs / "worker.log").read_text()
    finally:
        hidden.rename(socket)
