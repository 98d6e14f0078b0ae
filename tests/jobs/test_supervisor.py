"""One attempt from claim to end, on the fake executor and on the real one."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from adapters.executors.local import LocalExecutor
from apps.jobs import attempts, logs, rules
from apps.jobs.actions import request_cancel
from apps.jobs.models import Job, JobEvent
from apps.jobs.supervisor import Supervisor
from tests.jobs.test_executor_contract import until
from tests.jobs.test_local_executor import alive

pytestmark = pytest.mark.django_db(transaction=True)
Make = Callable[..., Supervisor]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    executor = LocalExecutor(modules=["json"], scratch=tmp_path_factory.mktemp("parent"))
    executor.warm_up()
    yield executor
    executor.close()


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def state_of(job: Job) -> str:
    return str(fresh(job).state)


def events_of(job: Job) -> list[str]:
    return list(JobEvent.objects.filter(job_id=job.pk).values_list("kind", flat=True))


def test_it_runs_a_job_to_its_end(
    make_supervisor: Make, submit: Callable[..., Job], ledger: dict[str, list[Any]]
) -> None:
    job = submit(program="echo", plan={"payload": {"name": "Ada"}})
    assert make_supervisor().run(job.pk)
    done = fresh(job)
    assert done.state == "succeeded"
    assert done.result is not None
    assert done.result["payload"] == {"name": "Ada"}
    assert done.result["files"] == ["copy.txt"]
    assert done.started_at is not None
    assert events_of(job) == ["queued", "starting", "running", "succeeded"]
    assert [len(ledger[step]) for step in ("prepare", "started", "collect", "complete", "ended")] == [
        1,
        1,
        1,
        1,
        0,
    ]
    attempt = done.attempts.get()
    assert (attempt.outcome, attempt.exit_code) == ("succeeded", 0)
    assert attempt.wall_seconds is not None


def test_it_keeps_the_log_and_removes_the_folder(
    make_supervisor: Make, submit: Callable[..., Job], tmp_path: Path
) -> None:
    job = submit(program="echo", plan={"payload": {"name": "Grace"}})
    make_supervisor().run(job.pk)
    chunk = logs.read_log(fresh(job))
    assert chunk.text.endswith("INFO hello from Grace\n")
    assert chunk.complete
    assert not (tmp_path / "attempts" / str(job.pk) / "1").exists()


def test_it_does_not_run_what_is_not_waiting(make_supervisor: Make, claimed: Callable[..., Job]) -> None:
    assert make_supervisor().run(claimed().pk) is False


@pytest.mark.parametrize(
    ("spec", "state", "code"),
    [
        ({"program": "user_error"}, "failed", "run.target_unknown"),
        ({"program": "unexpected", "plan": {"blame": "user"}}, "failed", "job.failed"),
        ({"program": "unexpected"}, "errored", "job.internal"),
        ({"program": "missing"}, "errored", "job.internal"),
        ({"refuse": "prepare"}, "failed", "test.refused"),
        ({"bug": "prepare"}, "errored", "job.internal"),
        ({"refuse": "collect"}, "failed", "test.refused"),
        ({"bug": "collect"}, "errored", "job.internal"),
        ({"refuse": "complete"}, "failed", "test.refused"),
        ({"bug": "started"}, "succeeded", ""),
    ],
)
def test_it_tells_the_users_fault_from_ours(
    make_supervisor: Make, submit: Callable[..., Job], spec: dict[str, Any], state: str, code: str
) -> None:
    job = submit(spec=spec)
    make_supervisor().run(job.pk)
    done = fresh(job)
    assert (done.state, done.error_code) == (state, code)
    assert "Traceback" not in done.reason
    assert state == "succeeded" or done.reason


def test_it_runs_platform_work(make_supervisor: Make, submit: Callable[..., Job]) -> None:
    job = submit("test.platform", steps=3)
    make_supervisor().run(job.pk)
    done = fresh(job)
    assert (done.state, done.result) == ("succeeded", {"done": True})
    assert "platform work begins" in logs.read_log(done).text


@pytest.mark.parametrize(("spec", "state"), [({"refuse": True}, "failed"), ({"bug": True}, "errored")])
def test_platform_work_fails_or_errs(
    make_supervisor: Make, submit: Callable[..., Job], spec: dict[str, Any], state: str
) -> None:
    job = submit("test.platform", spec=spec)
    make_supervisor().run(job.pk)
    assert state_of(job) == state


@pytest.mark.parametrize("kind", ["test.sandbox", "test.platform"])
def test_it_cancels_a_running_job(
    make_supervisor: Make, submit: Callable[..., Job], in_thread: Callable[..., threading.Thread], kind: str
) -> None:
    job = submit(kind, program="loops", steps=10_000, pause=0.01)
    in_thread(make_supervisor().run, job.pk)
    until(lambda: state_of(job) == "running")
    request_cancel(job=job, reason="Not needed any more.")
    until(lambda: state_of(job) == "cancelled")
    done = fresh(job)
    assert done.reason == "Not needed any more."
    assert done.attempts.get().outcome == "cancelled"


def test_it_ends_a_stubborn_child_when_cancelled(
    make_supervisor: Make,
    submit: Callable[..., Job],
    in_thread: Callable[..., threading.Thread],
    local: LocalExecutor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "GRACE", 0.5)
    pids = tmp_path / "pids"
    job = submit(program="stubborn", plan={"payload": {"pids": str(pids)}})
    in_thread(make_supervisor(local).run, job.pk)
    until(pids.exists)
    until(lambda: state_of(job) == "running")
    request_cancel(job=job)
    until(lambda: state_of(job) == "cancelled")
    assert not any(alive(pid) for pid in json.loads(pids.read_text()))


def test_it_stops_a_job_that_takes_too_long(
    make_supervisor: Make, submit: Callable[..., Job], local: LocalExecutor
) -> None:
    job = submit(program="loops", timeout=1)
    make_supervisor(local).run(job.pk)
    done = fresh(job)
    assert (done.state, done.error_code) == ("timed_out", "job.timeout")
    assert done.reason == "Stopped after 1 s, the time it was given."


def test_it_ends_a_program_that_does_not_reach_its_first_line(
    make_supervisor: Make, submit: Callable[..., Job], local: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "START", 0.5)
    plan = {"env": {"ATELIER_TEST_HANG": "1"}}
    job = submit(module="tests.jobs.slow_import", program="main", plan=plan)
    make_supervisor(local).run(job.pk)
    lost = fresh(job).attempts.get()
    assert (lost.outcome, lost.error_code, lost.user_started_at) == ("lost", "job.start_timeout", None)
    assert (state_of(job), fresh(job).infra_retries_left) == ("queued", 2)
    assert events_of(job) == ["queued", "starting", "queued"]


def test_it_says_in_words_what_was_too_much(
    make_supervisor: Make, submit: Callable[..., Job], local: LocalExecutor
) -> None:
    job = submit(program="eats_memory", plan={"memory_bytes": 64 << 20})
    make_supervisor(local).run(job.pk)
    done = fresh(job)
    assert (done.state, done.error_code) == ("failed", "job.memory_limit")
    assert done.reason.endswith("of 67 MB of memory.")
    attempt = done.attempts.get()
    assert attempt.max_rss is not None
    assert attempt.max_rss > 64 << 20
    assert attempt.cpu_seconds is not None


def test_it_repeats_a_job_whose_child_was_killed_from_outside(
    make_supervisor: Make,
    submit: Callable[..., Job],
    in_thread: Callable[..., threading.Thread],
    local: LocalExecutor,
    tmp_path: Path,
) -> None:
    pids = tmp_path / "pids"
    job = submit(program="stubborn", plan={"payload": {"pids": str(pids)}})
    in_thread(make_supervisor(local).run, job.pk)
    until(pids.exists)
    until(lambda: state_of(job) == "running")
    child, _, hidden = json.loads(pids.read_text())
    os.kill(child, signal.SIGKILL)
    until(lambda: state_of(job) == "queued")
    done = fresh(job)
    assert (done.infra_retries_left, done.attempts.get().outcome) == (2, "lost")
    assert not alive(hidden)


def test_it_stops_without_a_word_when_another_fence_has_the_job(
    make_supervisor: Make,
    submit: Callable[..., Job],
    in_thread: Callable[..., threading.Thread],
    local: LocalExecutor,
    tmp_path: Path,
    ledger: dict[str, list[Any]],
) -> None:
    pids = tmp_path / "pids"
    job = submit(program="stubborn", plan={"payload": {"pids": str(pids)}})
    thread = in_thread(make_supervisor(local).run, job.pk)
    until(pids.exists)
    until(lambda: state_of(job) == "running")
    Job.objects.filter(pk=job.pk).update(fence=7)
    thread.join(60)
    assert not thread.is_alive()
    assert not any(alive(pid) for pid in json.loads(pids.read_text()))
    assert state_of(job) == "running"
    assert ledger["ended"] == []


def test_it_gives_up_when_its_lease_cannot_be_prolonged(
    make_supervisor: Make,
    submit: Callable[..., Job],
    in_thread: Callable[..., threading.Thread],
    local: LocalExecutor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "GIVE_UP", 1.0)
    pids = tmp_path / "pids"
    job = submit(program="stubborn", plan={"payload": {"pids": str(pids)}})
    supervisor = make_supervisor(local, beating=False)
    thread = in_thread(supervisor.run, job.pk)
    until(pids.exists)
    thread.join(60)
    assert not thread.is_alive()
    assert not any(alive(pid) for pid in json.loads(pids.read_text()))
    assert state_of(job) == "queued", "nobody has to wait for the reaper when the database is back"
    attempt = fresh(job).attempts.get()
    assert (attempt.outcome, attempt.error_code) == ("lost", "job.database_lost")


def test_a_finished_result_outlives_a_database_that_was_away_longer_than_the_lease(
    make_supervisor: Make, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "GIVE_UP", 0.2)
    finish, tried = attempts.finish, []

    def away(**options: Any) -> Any:
        tried.append(time.monotonic())
        if tried[-1] - tried[0] < 0.4:
            raise OperationalError("the database system is starting up")
        return finish(**options)

    monkeypatch.setattr(attempts, "finish", away)
    job = submit(program="echo")
    make_supervisor(beating=False).run(job.pk)
    assert (state_of(job), len(tried)) == ("succeeded", 2)


def test_it_returns_a_job_uncharged_when_it_drains(
    make_supervisor: Make,
    submit: Callable[..., Job],
    in_thread: Callable[..., threading.Thread],
    local: LocalExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "DRAIN", 0.1)
    job = submit(program="loops")
    supervisor = make_supervisor(local)
    in_thread(supervisor.run, job.pk)
    until(lambda: state_of(job) == "running")
    supervisor.drain()
    until(lambda: state_of(job) == "queued")
    done = fresh(job)
    assert done.infra_retries_left == 3
    attempt = done.attempts.get()
    assert (attempt.outcome, attempt.charged) == ("lost", False)
    assert supervisor.run(job.pk) is False


def test_progress_and_memory_reach_the_row(
    make_supervisor: Make,
    submit: Callable[..., Job],
    in_thread: Callable[..., threading.Thread],
    local: LocalExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apps.jobs.heart.PROGRESS_SECONDS", 0.1)
    job = submit(program="loops")
    in_thread(make_supervisor(local).run, job.pk)
    found = until(lambda: fresh(job).progress.get("memory_bytes") is not None and fresh(job).progress)
    assert found["message"] == "looping"
    request_cancel(job=job)
    until(lambda: state_of(job) == "cancelled")


def test_it_gives_a_job_back_when_its_process_cannot_be_launched(
    make_supervisor: Make, submit: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "LAUNCH", 0.2)
    executor = LocalExecutor(modules=["json"], scratch=tmp_path)
    executor.warm_up()
    assert executor.ready(30) is not None
    os.kill(executor._parent.pid, signal.SIGSTOP)
    job = submit(program="echo")
    make_supervisor(executor).run(job.pk)
    assert (state_of(job), fresh(job).attempts.get().error_code) == ("queued", "job.launcher_lost")
    Job.objects.filter(pk=job.pk).update(not_before=None)
    monkeypatch.setattr(rules, "LAUNCH", 60.0)
    make_supervisor(executor).run(job.pk)
    assert state_of(job) == "succeeded"
    executor.close()
