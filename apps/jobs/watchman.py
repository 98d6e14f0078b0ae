"""Looks after a worker from the inside, every few seconds: whether its doorbell still rings, and whether its slots
still come back.

A consumer has been seen to stay silent for good after its broker went away and came back; work then waits for the
next slot that happens to finish. And code of ours that hangs (a socket without a time limit) keeps its slot for ever.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from django.db import connection

from apps.jobs import rules
from apps.jobs.heart import Heart
from apps.jobs.reaper import give_back_strays

logger = logging.getLogger(__name__)
# Work that had to be taken without a ring so many times in a row, with none heard: nobody listens any more.
SILENT_RESCUES = 2
# An attempt that was given up, and whose supervisor has still not come back.
WEDGED_SECONDS = 120.0


class Rescuer(Protocol):
    """The slots, as the watchman sees them (apps.jobs.worker.Slots)."""

    count: int
    heard: int

    def rescue(self) -> bool:
        """Take overdue work without a ring. Whether there was any."""


class Watchman:
    """renew: begins to listen anew. wedged: set when no slot of this worker can come back; it has to end then."""

    def __init__(self, slots: Rescuer, heart: Heart, renew: Callable[[], object]) -> None:
        self.slots = slots
        self.heart = heart
        self.renew = renew
        self.wedged = threading.Event()
        self._rescues = 0
        self._heard = 0
        self._given_up: dict[tuple[object, int], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchman", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()

    def look(self) -> None:
        """One round."""
        self._look_for_hanging()
        watched = self.heart.watched()
        if give_back_strays(worker=self.heart.worker, watched=watched):
            logger.warning("this worker held jobs that it did not know of; they went back to the queue")
        heard = self.slots.heard
        if not self.slots.rescue():
            return
        self._rescues = self._rescues + 1 if heard == self._heard else 1
        self._heard = heard
        if self._rescues >= SILENT_RESCUES:
            self._rescues = 0
            logger.warning("no ring has been heard although work came; the consumer begins to listen anew")
            self.renew()

    def _look_for_hanging(self) -> None:
        moment, given_up = time.monotonic(), self.heart.given_up()
        self._given_up = {key: self._given_up.get(key, moment) for key in given_up}
        hanging = [key for key, since in self._given_up.items() if moment - since > WEDGED_SECONDS]
        if len(hanging) >= self.slots.count and not self.wedged.is_set():
            logger.error("no slot has come back from %s; this worker ends and leaves its place", hanging)
            self.wedged.set()

    def _run(self) -> None:
        while not self._stop.wait(rules.OVERDUE / 2):
            try:
                self.look()
            except Exception as error:
                logger.warning("the watchman could not look: %s: %s", type(error).__name__, error)
            finally:
                with contextlib.suppress(Exception):
                    connection.close()
