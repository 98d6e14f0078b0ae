"""The nemesis: draws faults at random, one after the other and sometimes two at once, and counts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from runtime import valkey
from tests.faults.arena import LEASE, Arena
from tests.faults.clock import wrong_clock
from tests.faults.proxy import Proxy
from tests.faults.test_broker import RING
from tests.support.studio import ROOT

Heal = Callable[[], None]
FAR = "worker-far"
KEPT = ("web", "scheduler", "worker", "worker-2", FAR)


def nothing() -> None:
    """What heals by itself."""


class Nemesis:
    """Faults by name. Each begins something and returns what ends it. Use it from the main thread: it starts the
    servers again, which die with the thread that started them."""

    def __init__(self, arena: Arena, folder: Path) -> None:
        self.arena = arena
        self.folder = folder
        self.random = arena.random
        self.done: Counter[str] = Counter()
        servers = arena.servers
        self.database = Proxy(servers.database_dir / ".s.PGSQL.5432")
        self.broker = Proxy(servers.broker_dir / valkey.SOCKET)
        password = servers.passwords
        self.far = {
            "ATELIER_QUEUES": "far",
            "ATELIER_DATABASE_URL": f"postgresql://atelier:{password['atelier']}@127.0.0.1:{self.database.port}/atelier",
            "ATELIER_REDIS_URL": f"redis://:{password['valkey']}@127.0.0.1:{self.broker.port}/0",
        }
        self.faults: dict[str, Callable[[], Heal]] = {
            "worker killed": lambda: self._kill("worker"),
            "second worker killed": lambda: self._kill("worker-2"),
            "scheduler killed": lambda: self._kill("scheduler"),
            "web killed": lambda: self._kill("web"),
            "child killed": self._kill_child,
            "launcher killed": self._kill_launcher,
            "worker told to stop": lambda: self._kill("worker", signal.SIGTERM),
            "everything told to stop": self._stop_all,
            "worker frozen": lambda: self._freeze(self.random.choice(("worker", "worker-2"))),
            "scheduler frozen": lambda: self._freeze("scheduler"),
            "web frozen": lambda: self._freeze("web"),
            "database killed": self._kill_database,
            "database frozen": lambda: self._stall(arena.servers.database),
            "broker flushed": self._flush,
            "broker killed": self._kill_broker,
            "broker frozen": lambda: self._stall(arena.servers.broker),
            "every bell ten times": self._ring,
            "connections reset": self._reset,
            "black hole": self._deafen,
            "slow network": self._slow,
            "wrong clock": self._clock,
        }

    def start(self) -> None:
        """The further workers."""
        self.arena.start("worker-2")
        self.arena.start(FAR, **self.far)

    def strike(self) -> None:
        """One or two faults, each for a while, then healed."""
        heals = []
        for name in self.random.sample(sorted(self.faults), self.random.choice((1, 1, 2))):
            heals.append(self.faults[name]())
            self.done[name] += 1
            time.sleep(self.random.uniform(0, 0.5))
        time.sleep(self.random.choice((0.1, 0.5, 1.0, LEASE, 2 * LEASE)))
        for heal in heals:
            heal()

    def stop(self) -> None:
        """Strike no more."""
        for proxy in (self.database, self.broker):
            proxy.deaf, proxy.delay = False, 0.0
        self.arena.kill(*(name for name in (FAR,) if self.arena.alive(name)))
        for proxy in (self.database, self.broker):
            proxy.stop()

    def _kill(self, name: str, number: int = signal.SIGKILL) -> Heal:
        with suppress(ProcessLookupError, KeyError):
            self.arena.processes[name].send_signal(number)
        return nothing

    def _stop_all(self) -> Heal:
        for name in KEPT:
            self._kill(name, signal.SIGTERM)
        return nothing

    def _kill_child(self) -> Heal:
        for fact in self.arena.facts("begin")[-3:]:
            with suppress(OSError):
                if b"forker" in Path(f"/proc/{fact['pid']}/cmdline").read_bytes():
                    os.kill(fact["pid"], signal.SIGKILL)
        return nothing

    def _kill_launcher(self) -> Heal:
        for fact in self.arena.facts("begin")[-2:]:
            with suppress(OSError, IndexError):
                if b"forker" in Path(f"/proc/{fact['pid']}/cmdline").read_bytes():
                    stat = Path(f"/proc/{fact['pid']}/stat").read_text()
                    os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
        return nothing

    def _freeze(self, name: str) -> Heal:
        process = self.arena.processes[name]
        process.send_signal(signal.SIGSTOP)
        return lambda: process.send_signal(signal.SIGCONT)

    def _stall(self, process: subprocess.Popen[bytes] | None) -> Heal:
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        return lambda: process.send_signal(signal.SIGCONT)

    def _kill_database(self) -> Heal:
        self.arena.servers.kill_database()
        return self.arena.servers.start_database

    def _kill_broker(self) -> Heal:
        self.arena.servers.kill_broker()
        return self.arena.servers.start_broker

    def _flush(self) -> Heal:
        with suppress(OSError, AssertionError):
            self.arena.servers.flush_broker()
        return nothing

    def _ring(self) -> Heal:
        jobs = list(self.arena.acknowledged)[-20:]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [sys.executable, "-c", RING, *jobs],
                env=self.arena.environment(DJANGO_SETTINGS_MODULE="atelier.settings"),
                cwd=ROOT,
                capture_output=True,
                timeout=30,
            )
        return nothing

    def _reset(self) -> Heal:
        for proxy in (self.database, self.broker):
            proxy.reset()
        return nothing

    def _deafen(self) -> Heal:
        self.database.deaf = self.broker.deaf = True

        def hear() -> None:
            self.database.deaf = self.broker.deaf = False

        return hear

    def _slow(self) -> Heal:
        self.database.delay = self.broker.delay = 0.05

        def quick() -> None:
            self.database.delay = self.broker.delay = 0.0

        return quick

    def _clock(self) -> Heal:
        name = self.random.choice(("worker", "worker-2", "scheduler", "web"))
        wrong = wrong_clock(self.folder, self.random.choice((2, -2)))
        self.arena.extra[name] = wrong or {}
        return self._kill(name)
