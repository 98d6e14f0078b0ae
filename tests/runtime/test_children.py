"""Starting and ending children: whole trees, exactly those that were meant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import children, recovery
from runtime.children import Command
from runtime.home import Home
from runtime.logs import rotate, tail

SLEEPER = "import time; time.sleep(600)"
STUBBORN = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
{SLEEPER}
"""
PARENT = f"""
import subprocess, sys
subprocess.Popen([sys.executable, '-c', {SLEEPER!r}], start_new_session=True)
print('up', flush=True)
{SLEEPER}
"""


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def command(code: str, name: str = "child", **more: object) -> Command:
    return Command(name, (sys.executable, "-c", code), env={"PATH": os.environ["PATH"]}, **more)  # type: ignore[arg-type]


def test_a_stubborn_child_is_killed_after_its_grace(tmp_path: Path) -> None:
    log = tmp_path / "log"
    one = command(STUBBORN, grace=0.1)
    process = children.spawn(one, log)
    until(lambda: "up" in log.read_text())
    children.stop(process, one)
    assert process.returncode == -signal.SIGKILL


def test_a_grandchild_in_its_own_session_ends_with_the_tree(tmp_path: Path) -> None:
    log = tmp_path / "log"
    one = command(PARENT)
    process = children.spawn(one, log)
    until(lambda: "up" in log.read_text())
    tree = children.descendants(process.pid)
    assert len(tree) == 1
    children.stop(process, one)
    assert not any(children.is_alive(each) for each in tree)


def test_secrets_on_standard_input_leave_no_trace(tmp_path: Path) -> None:
    one = command("import sys; print(len(sys.stdin.read()))", stdin=b"hunter22")
    process = children.spawn(one, tmp_path / "log")
    assert process.wait(20) == 0
    assert (tmp_path / "log").read_text().strip() == "8"
    assert "hunter22" not in repr(one)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the Linux kernel")
def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path[:0] = [{!r}]\n"
        "from pathlib import Path\nfrom runtime.children import Command, spawn\n"
        "p = spawn(Command('c', (sys.executable, '-c', {!r}), env={{}}), Path({!r}))\n"
        "print(p.pid, flush=True)\nimport time; time.sleep(600)"
    ).format(str(Path(children.__file__).parents[1]), SLEEPER, str(tmp_path / "log"))
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = children.identity(int(parent.stdout.readline()))
    assert children.is_alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not children.is_alive(child))


def test_a_reused_pid_is_not_taken_for_the_old_process() -> None:
    pid, started = children.identity(os.getpid())
    assert children.is_alive((pid, started))
    assert not children.is_alive((pid, started - 100))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_orphans_are_found_by_record_tree_and_generation(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    recorded = children.spawn(command(PARENT), tmp_path / "log")
    marked = children.spawn(
        Command("m", (sys.executable, "-c", SLEEPER), env={recovery.GENERATION: "gen-1"}), tmp_path / "log"
    )
    stranger = children.spawn(
        Command("s", (sys.executable, "-c", SLEEPER), env={recovery.GENERATION: "gen-2"}), tmp_path / "log"
    )
    try:
        until(lambda: "up" in (tmp_path / "log").read_text())
        recovery.record(home, "gen-1", {"worker": recorded.pid})
        found = recovery.orphans(home)
        assert {pid for pid, _ in found} >= {recorded.pid, marked.pid}
        assert len(found) == 3
        assert recovery.end_orphans(home, patience=0.2) == 3
        assert not any(children.is_alive(one) for one in found)
        assert stranger.poll() is None
        assert not home.processes.exists()
    finally:
        for process in (recorded, marked, stranger):
            process.kill()
            process.wait()


def test_a_record_whose_pid_belongs_to_somebody_else_harms_nobody(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    other = children.spawn(command(SLEEPER), tmp_path / "log")
    try:
        recovery.record(home, "gen", {"web": other.pid})
        text = home.processes.read_text()
        started = children.identity(other.pid)[1]
        home.processes.write_text(text.replace(str(started), str(started - 1000)))
        assert recovery.end_orphans(home) == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_grown_log_moves_aside_and_the_process_writes_on(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as stream:
        for number in range(5):
            stream.write(b"%d" % number * 200)
            assert rotate(log, limit=100)
        stream.write(b"after\n")
    assert log.read_text() == "after\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "web.log",
        "web.log.1",
        "web.log.2",
        "web.log.3",
    ]
    assert (tmp_path / "web.log.1").read_text() == "4" * 200
    assert not rotate(log, limit=100)


def test_the_tail_of_a_missing_log_is_said_to_be_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log").strip() == "(empty)"
