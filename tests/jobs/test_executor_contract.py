"""One contract for every executor: the real one, warm and cold, and the fake twin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.executors.inprocess import InProcessExecutor
from adapters.executors.local import LocalExecutor
from adapters.executors.protocol import Cause, Executor, Handle
from foundation.tasks import SandboxPlan

PROGRAMS = "tests.jobs.programs"


@pytest.fixture(scope="module")
def executors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Executor]]:
    warm = LocalExecutor(modules=["json"], scratch=tmp_path_factory.mktemp("parent"))
    warm.warm_up()
    cold = LocalExecutor(warm=False)
    yield {"warm": warm, "cold": cold, "fake": InProcessExecutor()}
    warm.close()
    cold.close()


@pytest.fixture(params=["warm", "cold", "fake"])
def executor(request: pytest.FixtureRequest, executors: dict[str, Executor]) -> Executor:
    return executors[request.param]


def until(condition: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("the condition never held")


def run(executor: Executor, program: str, folder: Path, **plan: Any) -> tuple[Handle, Any]:
    handle = executor.start(SandboxPlan(program=f"{PROGRAMS}:{program}", **plan), folder)
    end = handle.wait(60)
    assert end is not None, "the program did not end"
    return handle, end


def test_it_returns_what_the_program_returned(executor: Executor, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("some text")
    handle, end = run(executor, "echo", tmp_path / "a", payload={"name": "Ada"}, inputs={"text": str(source)})
    report = handle.report()
    assert report is not None
    assert report.ok
    assert report.result["payload"] == {"name": "Ada"}
    assert report.result["text"] == "some text"
    assert (end.cause, end.code, end.signal) == (Cause.EXITED, 0, None)


def test_it_makes_the_result_fit_for_jsonb(executor: Executor, tmp_path: Path) -> None:
    handle, _ = run(executor, "echo", tmp_path / "a")
    report = handle.report()
    assert report is not None
    assert report.result["nan"] is None
    assert report.result["nul"] == "ab"


def test_it_keeps_output_files(executor: Executor, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("kept")
    run(executor, "echo", tmp_path / "a", inputs={"text": str(source)})
    assert (tmp_path / "a" / "outputs" / "copy.txt").read_text() == "kept"


def test_it_writes_log_lines_a_person_can_read(executor: Executor, tmp_path: Path) -> None:
    run(executor, "echo", tmp_path / "a", payload={"name": "Grace"})
    line = (tmp_path / "a" / "log.txt").read_text().strip()
    assert line.endswith("INFO hello from Grace")
    assert line[:2] == "20"


def test_it_passes_progress_on(executor: Executor, tmp_path: Path) -> None:
    handle, _ = run(executor, "echo", tmp_path / "a")
    assert handle.started
    assert handle.progress == {"step": 3, "total": 3, "message": "copying"}


def test_it_blames_the_user_for_a_user_error(executor: Executor, tmp_path: Path) -> None:
    handle, end = run(executor, "user_error", tmp_path / "a")
    report = handle.report()
    assert report is not None
    assert (report.ok, report.blame, report.code) == (False, "user", "run.target_unknown")
    assert report.message == "The target column does not exist."
    assert report.detail == {"column": "y"}
    assert end.code == 1


@pytest.mark.parametrize("blame", ["user", "platform"])
def test_it_blames_whom_the_plan_says_for_a_surprise(executor: Executor, tmp_path: Path, blame: str) -> None:
    handle, _ = run(executor, "unexpected", tmp_path / "a", blame=blame)
    report = handle.report()
    assert report is not None
    assert (report.ok, report.blame) == (False, blame)
    log = (tmp_path / "a" / "log.txt").read_text()
    # A person sees the trace of their own code, never of ours.
    assert ("Traceback" in log) is (blame == "user")


def test_it_blames_the_platform_for_a_program_that_does_not_exist(executor: Executor, tmp_path: Path) -> None:
    handle, _ = run(executor, "no_such_function", tmp_path / "a", blame="user")
    report = handle.report()
    assert report is not None
    assert (report.ok, report.blame) == (False, "platform")
    assert not handle.started


@pytest.mark.parametrize(("code", "ok"), [(0, True), (3, False), ("a sentence", False)])
def test_it_understands_sys_exit(executor: Executor, tmp_path: Path, code: Any, ok: bool) -> None:
    handle, _ = run(executor, "leaves", tmp_path / "a", payload={"code": code}, blame="user")
    report = handle.report()
    assert report is not None
    assert report.ok is ok
    if code == "a sentence":
        assert report.message == "a sentence"


def test_it_stops_when_asked(executor: Executor, tmp_path: Path) -> None:
    handle = executor.start(SandboxPlan(program=f"{PROGRAMS}:loops"), tmp_path / "a")
    until(lambda: handle.poll(0.05) or handle.started)
    assert handle.poll() is None
    handle.terminate(grace=5)
    end = handle.wait(60)
    assert end is not None
    assert end.cause == Cause.STOPPED
    assert handle.report() is None


def test_it_runs_again_in_the_same_folder(executor: Executor, tmp_path: Path) -> None:
    run(executor, "user_error", tmp_path / "a")
    handle, _ = run(executor, "echo", tmp_path / "a")
    report = handle.report()
    assert report is not None
    assert report.ok
