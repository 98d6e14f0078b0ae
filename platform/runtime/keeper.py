"""The keeper: starts the processes of a studio, watches them, restarts them, and stops them all.

One thread, no event loop: it must stay simple enough to be trusted with everything else. On Linux it is a
subreaper, so a grandchild whose parent died comes to it and is ended with the studio.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from runtime import children, recovery
from runtime.children import Command
from runtime.errors import RuntimeFault
from runtime.home import Home
from runtime.logs import rotate, tail

PR_SET_CHILD_SUBREAPER = 36
FIRST_DELAY, LAST_DELAY = 0.5, 30.0  # seconds between restarts, doubling
SETTLED = 60.0  # seconds after which a process counts as healthy again
START_FAILURES = 5  # of one process in a row, before the studio was ready once: the start ends
ROTATION_INTERVAL = 10.0


class StopRequested(Exception):
    """Ctrl-C, SIGTERM or SIGHUP."""


@dataclass
class Watched:
    """A process that is to run: how to start it, and how it has fared."""

    command: Command
    pass_fds: tuple[int, ...] = ()
    process: Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0


@dataclass
class Keeper:
    """Watches the processes of one home. Use it from the main thread."""

    home: Home
    generation: str
    say: Callable[[str], None]
    watched: dict[str, Watched] = field(default_factory=dict)
    was_ready: bool = False
    _signals: int = 0
    _rotated: float = 0.0
    _adopts: bool = False  # whether every descendant of this process is the studio's

    def listen_to_signals(self) -> None:
        """From now on this process is the keeper: Ctrl-C, SIGTERM and SIGHUP end the studio, and grandchildren
        without a parent come to it."""
        self._adopts = True
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._heard)
        if sys.platform.startswith("linux"):
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def _heard(self, number: int, frame: object) -> None:
        self._signals += 1

    def check(self) -> None:
        """Raise StopRequested when somebody wants the studio to end."""
        if self._signals:
            raise StopRequested

    def start(self, command: Command, *, pass_fds: tuple[int, ...] = ()) -> Popen[bytes]:
        """Start a process and watch it from now on."""
        self.check()
        one = Watched(command, pass_fds)
        self.watched[command.name] = one
        return self._spawn(one)

    def _spawn(self, one: Watched) -> Popen[bytes]:
        log = self.log(one.command.name)
        rotate(log)
        one.process = children.spawn(one.command, log, pass_fds=one.pass_fds)
        one.started = time.monotonic()
        self._record()
        return one.process

    def log(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self.home.logs / f"{name}.log"

    def _record(self) -> None:
        alive = {
            name: one.process.pid
            for name, one in self.watched.items()
            if one.process is not None and one.process.poll() is None
        }
        recovery.record(self.home, self.generation, {**alive, "keeper": os.getpid()})

    def run_once(self, command: Command, *, watching: bool = False) -> None:
        """Run a command to its end, its output on our own; `watching` goes on with look() meanwhile.

        Raises RuntimeFault when it fails.
        """
        self.check()
        process = children.spawn(command, None)
        try:
            while process.poll() is None:
                self.pause(0.05)
                if watching:
                    self.look(own={process.pid})
        except StopRequested:
            children.stop(process, command)
            raise
        if process.returncode:
            raise RuntimeFault(
                f"The step `{command.name}` failed ({_how(process.returncode)}); the reason stands above."
            )

    def pause(self, seconds: float) -> None:
        """Sleep, but wake for signals."""
        self.check()
        time.sleep(seconds)
        self.check()

    def look(self, own: Set[int] = frozenset()) -> None:
        """One round: restart what has ended and is due, reap strangers (not `own`), rotate logs.

        Raises RuntimeFault when a process cannot be started at all.
        """
        now = time.monotonic()
        for one in self.watched.values():
            if one.process is not None and one.process.poll() is not None:
                self._ended(one, now)
            elif one.process is None and now >= one.due:
                self._spawn(one)
            elif one.process is not None and one.failures and now - one.started > SETTLED:
                one.failures = 0
        if self._adopts:
            self._reap_strangers(own)
        if now - self._rotated > ROTATION_INTERVAL:
            self._rotated = now
            for path in self.home.logs.glob("*.log"):
                rotate(path)

    def _ended(self, one: Watched, now: float) -> None:
        name, process = one.command.name, one.process
        assert process is not None
        one.process = None
        one.failures += 1
        delay = min(LAST_DELAY, FIRST_DELAY * 2 ** (one.failures - 1))
        if name in {"postgres", "valkey", "web"}:
            delay = min(delay, 4.0)  # everybody waits for these
        one.due = now + delay
        if not self.was_ready and one.failures >= START_FAILURES:
            raise RuntimeFault(
                f"The process {name} does not start ({_how(process.returncode)}). "
                f"The end of {self.log(name)}:\n{tail(self.log(name))}"
            )
        self.say(
            f"{name} ended ({_how(process.returncode)}); it starts again in {delay:.1f} s. "
            f"See {self.log(name)}"
        )
        self._record()

    def _reap_strangers(self, also: Set[int] = frozenset()) -> None:
        """Collect the zombies of grandchildren that came to us; our own children belong to their Popen."""
        own = also | {one.process.pid for one in self.watched.values() if one.process is not None}
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in own:
                return
            os.waitpid(found.si_pid, 0)

    def stop_all(self, order: Iterable[Iterable[str]]) -> None:
        """End the groups of processes one after another, then whatever is left of their trees.

        A second signal during this ends everything at once.
        """
        already = self._signals
        for group in order:
            alive = [
                one
                for name in group
                if (one := self.watched.get(name)) and one.process is not None and one.process.poll() is None
            ]
            trees = {one.command.name: children.descendants(one.process.pid) for one in alive if one.process}
            for one in alive:
                assert one.process is not None
                children.begin_stop(one.process, one.command)
            self._await(alive, already)
            for one in alive:
                assert one.process is not None
                left = trees[one.command.name]
                if one.process.poll() is None:
                    self.say(f"{one.command.name} did not end in time and is killed.")
                    left = left | children.descendants(one.process.pid) | {children.identity(one.process.pid)}
                children.kill_tree(left)
                one.process.wait()
        if self._adopts:
            children.kill_tree(children.descendants(os.getpid()))
            self._reap_strangers()

    def _await(self, alive: list[Watched], already: int) -> None:
        begun = time.monotonic()
        while any(
            one.process is not None
            and one.process.poll() is None
            and time.monotonic() - begun < one.command.grace
            for one in alive
        ):
            if self._signals > already + 1:
                return
            time.sleep(0.02)


def _how(status: int | None) -> str:
    if status is not None and status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    return f"exit {status}"
