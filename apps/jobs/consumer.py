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
CLOSE_SECONDS = 5.0


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
        from kombu.asynchronous import set_event_loop

        try:
            set_event_loop(None)  # else it shares the loop of one that may still hang in it
            controller = self._controller = self.app.WorkController(
                app=self.app,
                pool="threads",
                concurrency=self.threads,
                queues=[queue_name(queue) for queue in self.queues],
                loglevel="WARNING",
                without_heartbeat=True,
                without_mingle=True,
                without_gossip=True,
            )
            controller.start()
            controller.consumer.shutdown()  # what was taken last is acknowledged, and the connection closed
        except Exception:
            logger.exception("the consumer of rings has failed")

    def ensure(self) -> None:
        """Start it again when its thread has ended although nobody asked."""
        if self._thread is None or self._thread.is_alive() or self._stopping:
            return
        if time.monotonic() - self._started_at >= RESTART_SECONDS:
            logger.warning("the consumer of rings has ended; it is started again")
            self.start()

    def renew(self) -> None:
        """Listen anew, with a thread and connections of its own: the present one has gone silent. A broker that is
        away is waited for by the one that is there."""
        if self._stopping or not self._broker_answers():
            return
        self._close()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
        self.start()

    def _broker_answers(self) -> bool:
        try:
            with self.app.connection_for_read(connect_timeout=4) as asked:
                asked.ensure_connection(max_retries=1, timeout=4)
        except Exception as error:
            logger.info("the broker does not answer: %s: %s", type(error).__name__, error)
            return False
        return True

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
        """Consume no more. Returns at once; a ring may still come within the next moment, and running answers go on."""
        self._stopping = True
        self._close()

    def _close(self) -> None:
        """Celery's own signal_consumer_close() calls a method that its consumer does not have, and swallows that. The
        state of the blueprint is what its loop looks at, at least every two seconds."""
        from celery.bootsteps import CLOSE

        consumer = getattr(self._controller, "consumer", None)
        if consumer is not None:
            consumer.blueprint.state = CLOSE
