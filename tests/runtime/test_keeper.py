"""The keeper alone, with small programs in place of the studio's processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from runtime import children
from runtime.children import Command
from runtime.errors import RuntimeFault
from runtime.home import Home, read_json
from runtime.keeper import Keeper, StopRequested
from tests.runtime.test_children import SLEEPER, until


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    home = Home(tmp_path / "home")
    home.make()
    return Keeper(home, "generation", said.append)


said: list[str] = []


def program(name: str, code: str) -> Command:
    return Command(name, (sys.executable, "-c", code), env={"PATH": os.environ["PATH"]}, grace=5.0)


def test_it_restarts_what_ends_and_says_so(keeper: Keeper) -> None:
    said.clear()
    first = keeper.start(program("worker", SLEEPER))
    try:
        first.kill()
        first.wait()
        keeper.look()
        assert "worker ended (killed by SIGKILL); it starts again in 0.5 s" in said[-1]
        one = keeper.watched["worker"]
        assert one.process is None
        one.due = time.monotonic()
        keeper.look()
        assert one.process is not None
        assert one.process.pid != first.pid
        assert read_json(keeper.home.processes)["processes"]["worker"][0] == one.process.pid
    finally:
        keeper.stop_all([["worker"]])


def test_the_delay_doubles_and_the_start_ends_with_the_reason(keeper: Keeper) -> None:
    keeper.start(program("worker", "raise SystemExit('no such thing')"))
    one = keeper.watched["worker"]
    delays: list[float] = []

    def until_it_gives_up() -> None:
        while True:
            assert one.process is not None
            one.process.wait()
            keeper.look()
            delays.append(round(one.due - time.monotonic(), 1))
            one.due = 0
            keeper.look()

    with pytest.raises(RuntimeFault, match="no such thing"):
        until_it_gives_up()
    assert delays == [0.5, 1.0, 2.0, 4.0]


def test_after_the_first_readiness_it_never_gives_up(keeper: Keeper) -> None:
    keeper.was_ready = True
    keeper.start(program("worker", "raise SystemExit(3)"))
    one = keeper.watched["worker"]
    for _ in range(8):
        assert one.process is not None
        one.process.wait()
        keeper.look()
        one.due = 0
        keeper.look()
    assert one.failures == 8
    keeper.stop_all([["worker"]])


def test_a_failed_step_is_a_fault_with_its_name(keeper: Keeper, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeFault, match="The step `prepare` failed"):
        keeper.run_once(program("prepare", "import sys; print('why'); sys.exit(1)"))
    assert "why" in capfd.readouterr().out


def test_groups_are_stopped_in_order(keeper: Keeper, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n    open({path!r}, 'a').write({name!r} + '\\n'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\ntime.sleep(600)"
    )
    for name in ("web", "valkey", "postgres"):
        keeper.start(program(name, code.format(path=str(journal), name=name)))
        until(lambda name=name: "up" in keeper.log(name).read_text())
    keeper.stop_all([["web"], ["valkey"], ["postgres"]])
    assert journal.read_text().split() == ["web", "valkey", "postgres"]


LEAVES_DAEMON = """
    import subprocess, sys, time
    # A double fork: the daemon's parent is gone at once.
    fork = "import subprocess, sys; argv = [sys.executable, '-c', %r]; " % {sleeper!r}
    fork += "print(subprocess.Popen(argv, start_new_session=True).pid)"
    subprocess.run([sys.executable, "-c", fork])
    print("up", flush=True)
    time.sleep(600)
"""

KEEPS = """
    import sys
    sys.path[:0] = [{source!r}]
    from pathlib import Path
    from runtime.children import Command
    from runtime.home import Home
    from runtime.keeper import Keeper, StopRequested
    home = Home(Path({home!r}))
    home.make()
    keeper = Keeper(home, "g", print)
    keeper.listen_to_signals()
    keeper.start(Command("worker", (sys.executable, "-u", "-c", {code!r}), env={{}}))
    print("keeping", flush=True)
    try:
        while True:
            keeper.pause(0.02)
            keeper.look()
    except StopRequested:
        keeper.stop_all([["worker"]])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="subreapers are Linux's")
def test_a_daemon_that_left_its_parent_ends_with_the_studio(tmp_path: Path) -> None:
    code = textwrap.dedent(LEAVES_DAEMON).format(sleeper=SLEEPER)
    source = str(Path(children.__file__).parents[1])
    home = tmp_path / "home"
    script = textwrap.dedent(KEEPS).format(source=source, home=str(home), code=code)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    log = home / "logs" / "worker.log"
    until(lambda: log.exists() and "up" in log.read_text())
    daemon = children.identity(int(log.read_text().split()[0]))
    assert children.is_alive(daemon)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert not children.is_alive(daemon)


def test_a_signal_is_noticed_at_the_next_step(keeper: Keeper) -> None:
    keeper._heard(signal.SIGTERM, None)
    with pytest.raises(StopRequested):
        keeper.start(program("worker", SLEEPER))
    assert not keeper.watched
