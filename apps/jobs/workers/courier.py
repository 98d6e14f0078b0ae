"""The courier of a worker on another machine: brings what its running jobs print to where everybody can read it."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from django.db import connection

from adapters.executors.protocol import LOG_NAME
from apps.jobs.tasks import clear_attempts
from apps.jobs.workers import pieces

logger = logging.getLogger(__name__)
EVERY = 1.0
# How often folders are looked for that attempts left here which nobody waits for any more.
CLEAR_EVERY = 600.0
# The most that is sent of one log in a round: a program that floods its log is shown with delay.
MOST = 1024 * 1024
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
Attempt = tuple[uuid.UUID, int]


class Courier:
    """Looks at the logs of the attempts that `watched` names, about once a second, and sends what has grown."""

    def __init__(self, watched: Callable[[], Iterable[Attempt]], attempts_dir: Path) -> None:
        self.watched = watched
        self.attempts_dir = attempts_dir
        self._sent: dict[Attempt, int] = {}
        self._cleared_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2)

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                self.round()
                self._clear()
            except Exception as error:
                logger.warning(
                    "logs cannot be sent right now: %s: %s", type(error).__name__, str(error)[:300]
                )
                self._sent.clear()  # whether the last piece arrived is unknown: the table is asked
            finally:
                with contextlib.suppress(Exception):
                    connection.close()

    def round(self) -> None:
        """Send what has grown, and clear away what belongs to attempts that have ended."""
        watched = set(self.watched())
        for attempt in watched:
            self._send(attempt)
        for attempt in [one for one in self._sent if one not in watched]:
            pieces.drop(*attempt)
            del self._sent[attempt]

    def _clear(self) -> None:
        """The scheduler clears up where it runs; here nobody else does."""
        if time.monotonic() - self._cleared_at >= CLEAR_EVERY or not self._cleared_at:
            self._cleared_at = time.monotonic()
            clear_attempts()

    def _send(self, attempt: Attempt) -> None:
        job_id, fence = attempt
        path = self.attempts_dir / str(job_id) / str(fence) / LOG_NAME
        known = self._sent.get(attempt, 0)
        data = _tail_of(path, known)
        if not data:
            return
        if attempt not in self._sent:
            known = pieces.end_of(job_id, fence)
            data = _tail_of(path, known)
        pieces.add(job_id, fence, known, data)
        self._sent[attempt] = known + len(data)


def _tail_of(path: Path, offset: int) -> bytes:
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(offset)
        return file.read(MOST)
