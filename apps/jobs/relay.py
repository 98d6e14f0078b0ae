"""The relay: outbox rows become messages. It listens for NOTIFY, so a job starts within milliseconds; a look
every second finds what became due meanwhile. Any number of relays may run."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.db.models.functions import Now

from apps.jobs import nodes
from apps.jobs.actions import CHANNEL
from apps.jobs.doorbell import open_doorbell, ring
from apps.jobs.models import Outbox
from apps.jobs.sessions import open_session

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger(__name__)
BATCH = 200
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 2.0
SLOTS_SECONDS = 5.0
SPARE_RINGS = 4
_slots, _slots_at = 0, float("-inf")


def relay_once(app: Celery) -> int:
    """Publish one batch of due rows and remove them. Returns how many.

    A row is removed in the transaction that has published it: a crash between the two rings twice, which
    the claim makes harmless. Raises whatever the broker raises; the rows then stay.
    """
    with transaction.atomic():
        due = Outbox.objects.filter(due_at__lte=Now()).order_by("due_at", "id")
        rows = list(due.select_for_update(skip_locked=True)[:BATCH])
        if not rows:
            return 0
        ring(app, [(str(row.job_id), row.queue) for row in rows], at_most=_enough())
        Outbox.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _enough() -> int:
    """As many rings as wake every slot there is, and some that are lost or stale. The number of slots is asked for
    every few seconds."""
    global _slots, _slots_at
    if time.monotonic() - _slots_at > SLOTS_SECONDS:
        _slots = sum(nodes.living().values_list("slots", flat=True))
        _slots_at = time.monotonic()
    return 2 * _slots + SPARE_RINGS


class Relay:
    """The relay's loop, for a thread of its own."""

    def __init__(self, app: Celery, stop: threading.Event) -> None:
        self.app = app
        self.stop = stop

    def run(self) -> None:
        """Relay until told to stop, through any outage of database or broker."""
        open_doorbell(self.app)
        while not self.stop.is_set():
            try:
                self._listen()
            except Exception as error:
                logger.warning("the relay pauses: %s: %s", type(error).__name__, error)
                self.stop.wait(PAUSE_SECONDS)
            finally:
                connection.close()

    def _listen(self) -> None:
        with open_session() as listener:
            listener.execute(f"LISTEN {CHANNEL}")
            while not self.stop.is_set():
                while not self.stop.is_set() and relay_once(self.app):
                    continue
                connection.close()
                for _ in listener.notifies(timeout=LOOK_SECONDS, stop_after=1):
                    break
