"""Chores: short periodic work that some scheduler process does, on any node, never two at once.

An app registers them in its tasks.py::

    @chore("deployments.seal", every=2.0)
    def seal() -> None: ...
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)
ChoreFunction = Callable[[], object]
LOCK_SPACE = 0x41_54_4C  # the first half of the advisory locks' two-part key
THREADS = 3
RETRY_SECONDS = 10.0  # after a failure, also of a chore that is due every few hours


@dataclass(frozen=True)
class Chore:
    """name: "<app>.<verb>"; every: seconds between the end of one run and the start of the next."""

    name: str
    every: float
    function: ChoreFunction


_chores: dict[str, Chore] = {}


def chore(name: str, *, every: float) -> Callable[[ChoreFunction], ChoreFunction]:
    """Register a function to be called about every `every` seconds."""

    def register(function: ChoreFunction) -> ChoreFunction:
        known = _chores.get(name)
        if known is not None and known.function.__qualname__ != function.__qualname__:
            raise ValueError(f"two chores are called {name}")
        _chores[name] = Chore(name, every, function)
        return function

    return register


def known_chores() -> list[Chore]:
    """All registered chores, by name."""
    return sorted(_chores.values(), key=lambda item: item.name)


class Locks:
    """Advisory locks of one database session that belongs to nobody else. When the session dies, all its
    locks are free: a chore may then, rarely, overlap itself, and has to bear that."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._session: Any = None
        self._lock = threading.Lock()

    def take(self, name: str) -> bool:
        """Whether the lock is ours now."""
        return bool(self._ask("SELECT pg_try_advisory_lock(%s, %s)", name))

    def release(self, name: str) -> None:
        """Give it back."""
        self._ask("SELECT pg_advisory_unlock(%s, %s)", name)

    def _ask(self, question: str, name: str) -> Any:
        key = zlib.crc32(name.encode()) - 2**31
        with self._lock:
            if self._session is None or self._session.closed:
                self._session = self._connect()
            try:
                return self._session.execute(question, (LOCK_SPACE, key)).fetchone()[0]
            except Exception as error:  # the question is always right: the session was lost
                self._session.close()
                raise ConnectionError(str(error).strip()) from None

    def close(self) -> None:
        """Give all back."""
        with self._lock:
            if self._session is not None:
                self._session.close()


class ChoreRunner:
    """Runs the registered chores in a few threads until told to stop."""

    def __init__(self, stop: threading.Event, locks: Locks) -> None:
        self.stop = stop
        self.locks = locks
        self._due: dict[str, float] = {}
        self._running: dict[str, Future[bool]] = {}

    def run(self) -> None:
        """The loop, for a thread of its own."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="chore") as pool:
            while not self.stop.wait(0.1):
                for item in known_chores():
                    self._start(item, pool)

    def _start(self, item: Chore, pool: ThreadPoolExecutor) -> None:
        running = self._running.get(item.name)
        if running is not None:
            if not running.done():
                return
            del self._running[item.name]
            wait = item.every if running.result() else min(item.every, RETRY_SECONDS)
            self._due[item.name] = time.monotonic() + wait
        if time.monotonic() >= self._due.get(item.name, 0.0):
            self._running[item.name] = pool.submit(self._do, item)

    def _do(self, item: Chore) -> bool:
        """Do it. False when it failed."""
        try:
            if not self.locks.take(item.name):
                return True  # another node is at it
            try:
                item.function()
            finally:
                connection.close()
                self.locks.release(item.name)
            return True
        except (OperationalError, InterfaceError, ConnectionError) as error:
            logger.warning("the chore %s has to wait: %s: %s", item.name, type(error).__name__, error)
        except Exception:
            logger.exception("the chore %s failed", item.name)
        finally:
            connection.close()
        return False
