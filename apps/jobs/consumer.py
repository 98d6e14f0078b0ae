"""Celery's worker inside ours: a thread that consumes rings, and a look at whether it still does.

The controller runs without signal handlers of its own: the worker process decides when it stops.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from apps.jobs.doorbell import queue_name

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger(__name__)
RESTART_SECONDS = 2.0


class Consumer:
    """Consumes the given queues with `threads` threads."""

    def __init__(self, app: Celery, queues: list[str], threads: int) -> None:
        self.app = app
        self.queues = queues
        self.threads = threads
        self._controller: Any = None
        self._thread: threading.Thread | None = None
        self._started_at = 0.0
        self._stopping = False

    def start(self) -> None:
        """Begin to consume."""
        self._started_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="celery", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._controller = self.app.WorkController(
                app=self.app,
                pool="threads",
                concurrency=self.threads,
                queues=[queue_name(queue) for queue in self.queues],
                loglevel="WARNING",
                without_heartbeat=True,
                without_mingle=True,
                without_gossip=True,
            )
            self._controller.start()
        except Exception:
            logger.exception("the consumer of rings has failed")

    def ensure(self) -> None:
        """Start it again when its thread has ended although nobody asked."""
        if self._thread is None or self._thread.is_alive() or self._stopping:
            return
        if time.monotonic() - self._started_at >= RESTART_SECONDS:
            logger.warning("the consumer of rings has ended; it is started again")
            self.start()

    def listen(self, wanted: bool) -> None:
        """Take rings, or leave them to other workers. A consumer that is just being started again may miss this: what
        it then takes is passed on."""
        consumer = getattr(self._controller, "consumer", None)
        if consumer is None:
            return
        change = consumer.add_task_queue if wanted else consumer.cancel_task_queue
        for queue in self.queues:
            consumer.call_soon(change, queue_name(queue))

    def stop(self) -> None:
        """Consume no more. Returns at once; running answers go on."""
        self._stopping = True
        controller = self._controller
        if controller is not None and controller.consumer is not None:
            controller.signal_consumer_close()
