"""What a program says about itself may be anything: it must harm neither the worker nor other jobs."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.executors import protocol
from adapters.executors.local import LocalExecutor, clear_folder
from adapters.executors.protocol import clean_progress, disk_is_full
from apps.jobs import heart, rules
from apps.jobs.heart import Heart
from apps.jobs.models import Job
from apps.jobs.supervisor import Supervisor
from tests.jobs import kinds
from tests.jobs.test_executor_contract import run

Make = Callable[..., Supervisor]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    executor = LocalExecutor(modules=["json"], scratch=tmp_path_factory.mktemp("parent"))
    executor.warm_up()
    yield executor
    executor.close()


def test_a_progress_report_keeps_only_what_can_be_stored_and_shown() -> None:
    bad = {"step": float("nan"), "total": 10**400, "message": "a\x00b\ud800" + "x" * 999, "more": [1]}
    found = clean_progress(bad)
    assert (found["step"], found["total"], found["message"][:3]) == (None, None, "ab?")
    assert set(found) == {"step", "total", "message"}
    assert len(found["message"]) <= 200
    assert clean_progress({"step": 3, "total": "4", "message": ["no text"]}) == {
        "step": 3,
        "total": 4.0,
        "message": "",
    }
    assert clean_progress("nonsense") == {}


def test_a_program_cannot_say_what_no_database_takes(local: LocalExecutor, tmp_path: Path) -> None:
    handle, _ = run(local, "poisons_progress", tmp_path / "a")
    assert handle.progress == {"step": None, "total": None, "message": "ab?"}


@pytest.mark.django_db(transaction=True)
def test_one_bad_report_does_not_stop_the_leases_of_other_jobs(
    claimed: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heart, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(rules, "HEARTBEAT", 0.0)
    bad, good = claimed(), claimed()
    beating = Heart("w1")
    with beating.watch(bad) as sick, beating.watch(good) as healthy:
        sick.progress = {"step": float("nan")}  # nothing should let it through; if anything does, so be it
        beating.beat()
        beating.beat()
        assert not sick.stale
        assert not healthy.stale
    for job in (good, bad):
        beaten = Job.objects.get(pk=job.pk).heartbeat_at
        assert beaten is not None
        assert job.heartbeat_at is not None
        assert beaten > job.heartbeat_at


def test_a_flood_of_reports_keeps_the_worker_idle(local: LocalExecutor, tmp_path: Path) -> None:
    before = time.process_time()
    handle, end = run(local, "floods_progress", tmp_path / "a", payload={"seconds": 1})
    assert end.code == 0
    assert handle.started
    assert handle.progress["message"] == "flood"
    # It took as much processor time as the flood itself before reports were held back.
    assert time.process_time() - before < 0.3 * end.wall_seconds


def test_a_result_that_is_too_large_is_refused_in_words(local: LocalExecutor, tmp_path: Path) -> None:
    handle, _ = run(local, "huge_result", tmp_path / "a", payload={"megabytes": 33})
    report = handle.report()
    assert report is not None
    assert (report.ok, report.code) == (False, "job.result_size")
    assert report.message == "The result is larger than 32 MB; what is so large has to be written to a file."


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("program", ["unexpected", "crash"])
def test_a_full_disk_is_named_whatever_the_program_died_of(
    make_supervisor: Make,
    submit: Callable[..., Job],
    local: LocalExecutor,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
) -> None:
    monkeypatch.setattr(protocol, "LITTLE_SPACE", 1 << 62)
    job = submit(program=program, plan={"blame": "user"})
    make_supervisor(local).run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error_code, job.reason) == (
        "errored",
        "job.disk_full",
        "The disk of the worker is full.",
    )


def test_an_ordinary_disk_is_not_full(tmp_path: Path) -> None:
    assert not disk_is_full(tmp_path)
    assert not disk_is_full(tmp_path / "absent")


@pytest.mark.django_db(transaction=True)
def test_a_disk_that_is_full_when_the_result_is_recorded_is_named(
    make_supervisor: Make, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, job: Job, result: Any, files: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kinds.Sandboxed, "complete", full)
    job = submit(program="echo")
    make_supervisor().run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error_code) == ("errored", "job.disk_full")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["prepare", "collect", "complete"])
def test_a_component_that_is_down_is_nobodys_fault(
    make_supervisor: Make, submit: Callable[..., Job], step: str
) -> None:
    job = submit(spec={"down": step})
    make_supervisor().run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.infra_retries_left) == ("queued", 2)
    attempt = job.attempts.get()
    assert (attempt.outcome, attempt.reason) == ("lost", f"The component of {step} does not answer.")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_folder_whose_rights_were_taken_away_is_removed(tmp_path: Path) -> None:
    inner = tmp_path / "job" / "work" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    inner.chmod(0)
    inner.parent.chmod(0)
    clear_folder(tmp_path / "job")
    assert not (tmp_path / "job").exists()
