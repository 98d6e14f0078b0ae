"""One revision's model process as the serving process sees it: fetch the Bento, start, check, watch, stop.

Nothing here touches the database. `poll()` is called again and again from one thread; slow work (copying
files, health checks, stopping) runs in a pool, and its end is found by the next poll.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from adapters.serving import Health, Launch, ModelProcess, ModelServer, ServerError

logger = logging.getLogger(__name__)


class Phase(Enum):
    """Where a slot is. LOST and GONE are final for this process: the owner starts a new slot or forgets it."""

    FETCHING = "fetching"
    LOADING = "loading"
    UP = "up"
    LOST = "lost"
    STOPPING = "stopping"
    GONE = "gone"


@dataclass(frozen=True)
class Timing:
    """Seconds. start: to the first golden answer; loading_every: between looks until then; health_every and
    health_timeout: of the watch; failures: checks in a row that may fail before a living process counts as hung;
    grace: of a stop."""

    start: float = 120.0
    loading_every: float = 0.25
    health_every: float = 2.0
    health_timeout: float = 10.0
    failures: int = 3
    grace: float = 15.0


class Slot:
    """A model process from its files to its end. `reason` says why it was lost."""

    def __init__(
        self,
        *,
        launch: Launch,
        fetch: Callable[[Path], None],
        server: ModelServer,
        pool: Executor,
        timing: Timing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.launch = launch
        self.server = server
        self.pool = pool
        self.timing = timing
        self.clock = clock
        self.reason = ""
        self.process: ModelProcess | None = None
        self.phase = Phase.FETCHING
        self.began = clock()
        self._failures = 0
        self._last_check = 0.0
        self._check: Future[Health] | None = None
        self._ending: Future[None] | None = None
        self._files: Future[None] = pool.submit(_fetch_once, launch.bento, fetch)

    @property
    def pid(self) -> int:
        """Of the model process; 0 before it exists."""
        return self.process.pid if self.process else 0

    def poll(self) -> Phase:
        """Look at what has happened and take the next step. Never raises, never blocks for long."""
        if self.phase is Phase.FETCHING and self._files.done():
            self._start()
        elif self.phase in (Phase.LOADING, Phase.UP):
            self._watch()
        elif self.phase is Phase.STOPPING and (self._ending is None or self._ending.done()):
            self.phase = Phase.GONE
        return self.phase

    def stop(self) -> None:
        """Begin to end it: what it has begun is answered, within the grace. poll() tells when it is GONE."""
        if self.phase in (Phase.STOPPING, Phase.GONE):
            return
        if self.process is not None:
            process = self.process
            self._ending = self.pool.submit(lambda: process.stop(grace=self.timing.grace))
        self.phase = Phase.STOPPING

    def _start(self) -> None:
        error = self._files.exception()
        if error is not None:
            logger.error("the Bento %s cannot be fetched", self.launch.bento, exc_info=error)
            self._lose(f"the Bento's files cannot be read: {error}")
            return
        try:
            self.process = self.server.start(self.launch)
        except ServerError as failure:
            self._lose(str(failure))
            return
        self.began = self.clock()
        self.phase = Phase.LOADING

    def _watch(self) -> None:
        assert self.process is not None
        if self.process.exit_code() is not None:
            self._lose(self.process.health(timeout=1).reason)
            return
        if self._check is not None:
            if not self._check.done():
                return
            health, self._check = self._check.result(), None
            self._judge(health)
            return
        loading = self.phase is Phase.LOADING
        every = self.timing.loading_every if loading else self.timing.health_every
        if self.clock() - self._last_check >= every:
            self._last_check = self.clock()
            process, timeout = self.process, self.timing.health_timeout
            self._check = self.pool.submit(lambda: process.health(timeout=timeout))

    def _judge(self, health: Health) -> None:
        if health.ready:
            self.phase, self._failures, self.reason = Phase.UP, 0, ""
        elif self.phase is Phase.LOADING:
            self.reason = health.reason
            if self.clock() - self.began > self.timing.start:
                self._lose(f"not ready within {self.timing.start:.0f} seconds: {health.reason}")
        else:
            self._failures += 1
            if self._failures >= self.timing.failures:
                self._lose(f"it hangs: {health.reason}")

    def _lose(self, reason: str) -> None:
        self.reason = reason or "the model process ended"
        self.phase = Phase.LOST
        if self.process is not None:
            process = self.process
            self._ending = self.pool.submit(lambda: process.stop(grace=1.0))

    @property
    def is_cleared(self) -> bool:
        """Whether nothing of the process is left, so that its socket and folder can be used again."""
        return self.phase in (Phase.LOST, Phase.GONE) and (self._ending is None or self._ending.done())


def _fetch_once(bento: Path, fetch: Callable[[Path], None]) -> None:
    """Make the Bento's files present, all or nothing; an earlier generation may already have done it."""
    if bento.is_dir():
        return
    partial = bento.with_name(bento.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    fetch(partial)
    partial.rename(bento)
