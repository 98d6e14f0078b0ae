"""Jobs that harm: what they leave behind, what they use up, and traps for those who read their outputs."""

from __future__ import annotations

import os
import signal
import stat
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.executors.isolation import Isolation
from adapters.executors.local import LocalExecutor
from adapters.executors.protocol import Cause
from adapters.storage.local import LocalStore
from apps.datasets.contents import _own_file
from apps.deployments.tasks import _kept_file
from foundation.errors import AtelierError, Invalid
from foundation.tasks import SandboxPlan
from tests.jobs.hostile.conftest import PROGRAMS, Run
from tests.jobs.test_executor_contract import until

ENDS = (0, 3)


def running(name: str) -> list[str]:
    """Processes whose command line holds the name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if name.encode() in (entry / "cmdline").read_bytes():
                    found.append(entry.name)
            except OSError:
                continue
    return found


@pytest.mark.parametrize("tier", ENDS)
def test_a_daemon_ends_with_its_job(run: Run, tier: int) -> None:
    name = f"daemon-{uuid.uuid4().hex}"
    report, end = run(tier, "daemonizes", payload={"name": name, "seconds": 0})
    assert report is not None
    assert report.ok
    assert end.code == 0
    assert not running(name)


@pytest.mark.parametrize("tier", ENDS)
def test_a_daemon_does_not_outlive_cancel(
    executor_of: Callable[[int], LocalExecutor], tmp_path: Path, tier: int
) -> None:
    name = f"daemon-{uuid.uuid4().hex}"
    plan = SandboxPlan(program=f"{PROGRAMS}:daemonizes", payload={"name": name, "seconds": 600})
    handle = executor_of(tier).start(plan, tmp_path / "job")
    until(lambda: handle.poll(0.05) or handle.progress)
    until(lambda: running(name))
    handle.terminate(grace=0.5)
    end = handle.wait(30)
    assert end is not None
    assert end.cause == Cause.STOPPED
    assert not running(name)
    handle.close()


@pytest.mark.parametrize("tier", ENDS)
def test_nothing_is_left_when_its_nanny_is_killed(
    executor_of: Callable[[int], LocalExecutor], tmp_path: Path, tier: int
) -> None:
    name = f"daemon-{uuid.uuid4().hex}"
    plan = SandboxPlan(program=f"{PROGRAMS}:daemonizes", payload={"name": name, "seconds": 600})
    handle = executor_of(tier).start(plan, tmp_path / "job")
    until(lambda: handle.poll(0.05) or handle.progress)
    until(lambda: running(name))
    status = Path(f"/proc/{handle.pid}/status").read_text()
    os.kill(int(status.split("PPid:")[1].split()[0]), signal.SIGKILL)
    end = handle.wait(30)
    assert end is not None
    assert end.cause == Cause.VANISHED
    until(lambda: not running(name))
    handle.close()


@pytest.mark.parametrize("tier", ENDS)
def test_a_fork_bomb_ends_alone(run: Run, tier: int) -> None:
    began = time.monotonic()
    _, end = run(tier, "bombs", processes=60, wall_seconds=20)
    assert end.cause in (Cause.PROCESSES, Cause.WALL)
    assert time.monotonic() - began < 60
    assert not running("tests.jobs.hostile.programs:bombs")


@pytest.mark.parametrize("tier", ENDS)
def test_traps_among_the_outputs_are_not_followed(run: Run, tmp_path: Path, tier: int) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do-not-tell")
    secret.chmod(0o600)
    report, _ = run(tier, "leaves_traps", payload={"secret": str(secret)})
    assert report is not None
    outputs, store = tmp_path / "job" / "outputs", LocalStore(tmp_path / "store")
    left = report.result["left"]
    assert {"honest", "link", "pipe"} <= set(left)
    assert ("hard" in left) is (tier == 0)
    for name in ("link", "pipe", *(["device"] if "device" in left else [])):
        with pytest.raises(Invalid) as caught:
            store.put(outputs / name, f"kept/{name}")
        assert caught.value.code == "storage.source"
    for check in (_kept_file, _own_file):
        for name in ("link", "pipe", "folder/hostname", "../result.json", "/etc/hostname"):
            with pytest.raises(AtelierError):
                check(outputs, name)
    assert _kept_file(outputs, "honest").read_text() == "x"
    modes = [path.lstat().st_mode for path in outputs.iterdir()]
    assert not any(stat.S_ISCHR(mode) or stat.S_ISBLK(mode) for mode in modes)


def test_its_shared_memory_is_its_own_and_has_an_end(run: Run) -> None:
    report, _ = run(3, "fills_shared_memory", payload={"megabytes": 80}, memory_bytes=64 << 20)
    assert report is not None
    assert report.result["stopped"] == "ENOSPC"
    assert not Path("/dev/shm/hoard").exists()


def test_a_job_that_cannot_be_shut_in_is_not_started(
    executor_of: Callable[[int], LocalExecutor], tmp_path: Path
) -> None:
    executor_of(3)
    impossible = Isolation(3, api="http://[ff02::1]:8000")  # no interface can have this address
    executor = LocalExecutor(warm=False, isolation=impossible)
    handle = executor.start(
        SandboxPlan(program=f"{PROGRAMS}:works", network=True, blame="user"), tmp_path / "job"
    )
    end = handle.wait(30)
    report = handle.report()
    handle.close()
    assert end is not None
    assert report is not None
    assert (report.ok, report.blame, report.code) == (False, "platform", "job.isolation")
    assert "could not isolate the job" in report.message
    assert not handle.started


@pytest.mark.parametrize("host", ["[::1]", "10.23.0.7", "[fd00::7]", "studio.example"])
def test_the_api_has_its_own_name_inside(
    executor_of: Callable[[int], LocalExecutor], tmp_path: Path, host: str
) -> None:
    """Whatever the address is, inside it is a listener of the nanny's: a connection is made, and closed when nobody
    answers outside."""
    executor_of(3)
    root = Path(__file__).resolve().parents[3]
    isolation = Isolation(3, api=f"http://{host}:1", readable=(str(root / "tests"),))
    executor = LocalExecutor(warm=False, isolation=isolation)
    handle = executor.start(
        SandboxPlan(
            program=f"{PROGRAMS}:knocks", network=True, payload={"host": host.strip("[]"), "port": 1}
        ),
        tmp_path / "job",
    )
    assert handle.wait(30) is not None
    report = handle.report()
    handle.close()
    assert report is not None
    assert report.result == {"connected": True, "other": "ECONNREFUSED"}, report
