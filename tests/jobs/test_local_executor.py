"""What only the real executor does: limits, isolation tier 0, and an end of the whole tree."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.executors.choosing import choose
from adapters.executors.isolation import Isolation
from adapters.executors.local import LocalExecutor
from adapters.executors.protocol import Cause
from foundation.errors import Invalid
from foundation.tasks import SandboxPlan
from tests.jobs.test_executor_contract import PROGRAMS, run, until

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the Linux kernel")
pytestmark = linux


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    executor = LocalExecutor(modules=["json"], scratch=tmp_path_factory.mktemp("parent"))
    executor.warm_up()
    assert executor.ready(30) is not None
    yield executor
    executor.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def log_of(folder: Path) -> str:
    return (folder / "log.txt").read_text()


def test_it_starts_with_a_clean_environment(
    warm: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATELIER_SECRET_KEY", "do-not-tell")
    plan = {"env": {"MLFLOW_RUN_NAME": "mine"}, "payload": {"worker": os.getpid()}}
    for name, executor in (("warm", warm), ("cold", LocalExecutor(warm=False))):
        handle, _ = run(executor, "environment", tmp_path / name, **plan)
        report = handle.report()
        assert report is not None
        seen = report.result
        assert "do-not-tell" not in json.dumps(seen["environ"])
        assert seen["environ"]["MLFLOW_RUN_NAME"] == "mine"
        assert seen["environ"]["HOME"] == str(tmp_path / name / "home")
        assert (seen["umask"], seen["session"], seen["no_new_privs"]) == ("0o77", True, "1")
        assert seen["cwd"] == str(tmp_path / name / "work")
        # 0 to 2, the progress pipe, and the result file.
        assert seen["descriptors"] == [0, 1, 2, 3, 4]


def test_progress_is_read_from_a_printed_bar(warm: LocalExecutor, tmp_path: Path) -> None:
    handle, _ = run(warm, "bar", tmp_path / "a")
    assert (handle.progress["step"], handle.progress["total"]) == (5, 5)
    assert "5/5" in log_of(tmp_path / "a")


def test_it_refuses_variables_that_change_the_loader(warm: LocalExecutor, tmp_path: Path) -> None:
    for name in ("LD_PRELOAD", "PYTHONPATH", "PATH"):
        with pytest.raises(Invalid) as caught:
            warm.start(SandboxPlan(program=f"{PROGRAMS}:echo", env={name: "x"}), tmp_path / name)
        assert caught.value.code == "job.environment"


def test_it_leaves_no_plan_behind(warm: LocalExecutor, tmp_path: Path) -> None:
    run(warm, "echo", tmp_path / "a", env={"MLFLOW_TRACKING_TOKEN": "secret"})
    assert not (tmp_path / "a" / "plan.json").exists()


def test_it_kills_what_ignores_sigterm_and_what_hid_in_another_session(
    warm: LocalExecutor, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    handle = warm.start(
        SandboxPlan(program=f"{PROGRAMS}:stubborn", payload={"pids": str(pids)}), tmp_path / "a"
    )
    until(lambda: handle.poll(0.02) or handle.progress)
    handle.terminate(grace=0.3)
    end = handle.wait(60)
    assert end is not None
    assert (end.cause, end.signal) == (Cause.STOPPED, signal.SIGKILL)
    assert end.wall_seconds >= 0.3
    child, _, hidden = json.loads(pids.read_text())
    assert not alive(child)
    assert not alive(hidden)


def test_it_ends_a_daemon_that_the_program_left_behind(warm: LocalExecutor, tmp_path: Path) -> None:
    handle, end = run(warm, "daemon", tmp_path / "a")
    report = handle.report()
    assert report is not None
    assert end.cause == Cause.EXITED
    assert not alive(report.result["pid"])


def test_it_ends_the_tree_when_its_handle_is_closed(warm: LocalExecutor, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    handle = warm.start(
        SandboxPlan(program=f"{PROGRAMS}:stubborn", payload={"pids": str(pids)}), tmp_path / "a"
    )
    until(lambda: handle.poll(0.02) or handle.progress)
    handle.close()
    until(lambda: not any(alive(pid) for pid in json.loads(pids.read_text())))


def test_it_reports_the_death_of_its_nanny_and_leaves_nothing(warm: LocalExecutor, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    handle = warm.start(
        SandboxPlan(program=f"{PROGRAMS}:stubborn", payload={"pids": str(pids)}), tmp_path / "a"
    )
    until(lambda: handle.poll(0.02) or handle.progress)
    child, nanny, hidden = json.loads(pids.read_text())
    os.kill(nanny, signal.SIGKILL)
    end = handle.wait(60)
    assert end is not None
    assert end.cause == Cause.VANISHED
    until(lambda: not alive(child) and not alive(hidden))


def test_it_tells_a_crash_from_an_end(warm: LocalExecutor, tmp_path: Path) -> None:
    handle, end = run(warm, "crash", tmp_path / "a")
    assert (end.cause, end.signal, end.code) == (Cause.EXITED, signal.SIGSEGV, None)
    assert handle.report() is None


def test_it_reports_a_child_killed_by_somebody_else(warm: LocalExecutor, tmp_path: Path) -> None:
    handle = warm.start(SandboxPlan(program=f"{PROGRAMS}:loops"), tmp_path / "a")
    until(lambda: handle.poll(0.02) or handle.started)
    assert handle.pid is not None
    os.kill(handle.pid, signal.SIGKILL)
    end = handle.wait(60)
    assert end is not None
    assert (end.cause, end.signal) == (Cause.EXITED, signal.SIGKILL)


@pytest.mark.parametrize(
    ("program", "plan", "cause"),
    [
        ("eats_memory", {"memory_bytes": 64 << 20}, Cause.MEMORY),
        ("fills_disk", {"disk_bytes": 8 << 20}, Cause.DISK),
        ("burns_cpu", {"wall_seconds": 1}, Cause.WALL),
        ("burns_cpu", {"cpu_seconds": 1}, Cause.CPU),
        ("forks_many", {}, Cause.PROCESSES),
    ],
)
def test_it_ends_what_exceeds_its_limits(
    warm: LocalExecutor, tmp_path: Path, program: str, plan: dict[str, Any], cause: Cause
) -> None:
    _, end = run(warm, program, tmp_path / "a", **plan)
    assert end.cause == cause
    assert end.limit is not None
    assert end.used is not None
    assert end.used >= end.limit


def test_it_writes_bytes_that_are_not_utf8_as_readable_text(warm: LocalExecutor, tmp_path: Path) -> None:
    run(warm, "dirty_output", tmp_path / "a")
    text = log_of(tmp_path / "a")
    assert "café \ufffd\ufffd bad bytes\n" in text
    assert "€ euro, in two writes\nno newline at the end" in text


def test_it_cuts_a_line_of_50_megabytes(warm: LocalExecutor, tmp_path: Path) -> None:
    _, end = run(warm, "huge_line", tmp_path / "a", payload={"megabytes": 50})
    text = log_of(tmp_path / "a")
    assert len(text) < 20_000
    assert "characters of this line left out]\nafter the line" in text
    assert end.code == 0


def test_it_caps_a_huge_log_and_keeps_its_end(warm: LocalExecutor, tmp_path: Path) -> None:
    run(warm, "huge_output", tmp_path / "a", payload={"megabytes": 30}, stdout_bytes=1 << 20)
    text = log_of(tmp_path / "a")
    assert len(text) < (1 << 20) + (256 << 10)
    assert "left out: the log had reached its limit" in text
    assert text.rstrip().endswith("the very last line")


@pytest.mark.parametrize("kind", ["link", "fifo", "garbage", "deep"])
def test_it_does_not_trust_the_result_file(warm: LocalExecutor, tmp_path: Path, kind: str) -> None:
    handle, end = run(warm, "forges_report", tmp_path / "a", payload={"kind": kind})
    assert end.code == 0
    assert handle.report() is None


def test_it_starts_cold_when_the_warm_parent_is_gone(tmp_path: Path) -> None:
    executor = LocalExecutor(modules=["json"], scratch=tmp_path)
    executor.warm_up()
    assert executor.ready(30) is not None
    os.kill(executor._parent.pid, signal.SIGKILL)
    executor._parent.wait()
    handle, end = run(executor, "echo", tmp_path / "a")
    assert (handle.warm, end.code) == (False, 0)
    executor.close()


def test_it_leaves_no_process_when_its_worker_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        sys.path[:0] = {[str(p) for p in sys.path if p]!r}
        from adapters.executors.local import LocalExecutor
        from foundation.tasks import SandboxPlan
        executor = LocalExecutor(modules=["json"])
        executor.warm_up()
        handle = executor.start(
            SandboxPlan(program="{PROGRAMS}:stubborn", payload={{"pids": {str(pids)!r}}}), Path({str(tmp_path)!r}) / "a"
        )
        while not handle.progress:
            handle.poll(0.05)
        print(executor._parent.pid, flush=True)
        time.sleep(600)
        """
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    parent = int(worker.stdout.readline())
    worker.kill()
    worker.wait()
    family = [parent, *json.loads(pids.read_text())]
    until(lambda: not any(alive(pid) for pid in family))


@pytest.mark.engine
@pytest.mark.parametrize("starts", [24, pytest.param(1000, marks=pytest.mark.scale)])
def test_it_starts_warm_many_times_with_number_libraries_and_threads(tmp_path: Path, starts: int) -> None:
    """The thousand run at the strongest tier of the machine, as in a studio."""
    tier = choose(tmp_path / "try").tier if starts > 100 else 0
    executor = LocalExecutor(
        scratch=tmp_path, isolation=Isolation(tier, readable=(str(Path(__file__).parents[1]),))
    )
    executor.warm_up()
    ready = executor.ready(120)
    assert ready is not None
    assert set(ready["threads"]) <= {"polars-ooc-clea"}
    draws, waits = set(), []
    try:
        for number in range(starts):
            began = time.monotonic()
            handle = executor.start(SandboxPlan(program=f"{PROGRAMS}:libraries"), tmp_path / str(number))
            until(lambda handle=handle: handle.poll(0.5) or handle.started)
            waits.append(time.monotonic() - began)
            assert handle.wait(60) is not None
            report = handle.report()
            assert report is not None
            assert report.ok, report
            assert report.result["sums"] == [3.0, 3.0]
            assert report.result["threads"] == [executor.threads]
            assert report.result["boosted"] is ("lightgbm" in ready["modules"])
            draws.add(report.result["draw"])
            handle.close()
        handle, end = run(executor, "uses_process_pool", tmp_path / "pool")
        assert end.code == 0
        assert end.wall_seconds < 60
    finally:
        executor.close()
    assert len(draws) == starts, "siblings share the state of numpy's random numbers"
    print(
        f"start to first line: median {sorted(waits)[starts // 2] * 1000:.1f} ms, worst {max(waits) * 1000:.1f} ms"
    )
