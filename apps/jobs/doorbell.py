"""Celery as a doorbell: a message says "there is work on this queue", and no more. It may be lost or come
ten times; the job's row decides."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger(__name__)
TASK = "jobs.ring"
PREFIX = "atelier."


def queue_name(queue: str) -> str:
    """Celery's name of one of our queues."""
    return f"{PREFIX}{queue}"


def make_celery(broker_url: str, answer: Callable[[str], object] | None = None) -> Celery:
    """The Celery app; with `answer`, also the task that is called with each message's job id.

    Settings as reliability asks: nothing is stored, messages are acknowledged before they are acted upon
    (a lost one is rung again by the sweeper), none is fetched ahead of a free slot, and every socket has a
    time limit.
    """
    from celery import Celery

    # Celery's own Django fixup would run all checks, and so import every page and serializer into the worker.
    app = Celery("atelier", broker=broker_url, set_as_current=False, fixups=[])
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=False,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=queue_name("cpu"),
        task_create_missing_queues=True,
        task_store_errors_even_if_ignored=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=4,
        broker_transport_options={
            "visibility_timeout": 3600,
            "socket_timeout": 10,
            "socket_connect_timeout": 4,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        enable_utc=True,
        timezone="UTC",
    )
    if answer is not None:
        # Shared, since the threads of a consumer look it up in the current app, which is not this one.
        app.task(name=TASK)(answer)
    return app


def ring(app: Celery, doors: Iterable[tuple[str, str]], *, at_most: int | None = None) -> None:
    """Send a message for each (job id, queue), until `at_most` wait on a queue: each of them makes a slot look for
    whatever waits, so that more would only be stale when they are heard. Raises whatever the broker raises when it
    is away."""
    with app.producer_pool.acquire(block=True, timeout=10) as producer:
        room: dict[str, int] = {}
        for job_id, queue in doors:
            name = queue_name(queue)
            if at_most is not None:
                if name not in room:
                    room[name] = at_most - producer.connection.default_channel.client.llen(name)
                if room[name] <= 0:
                    continue
                room[name] -= 1
            app.send_task(TASK, args=[job_id], queue=name, producer=producer, retry=False)


def open_doorbell(app: Celery) -> None:
    """Connect to the broker ahead of the first ring, which would otherwise pay for it. A broker that is away
    is met again by the first ring."""
    try:
        with app.producer_pool.acquire(block=True, timeout=10) as producer:
            producer.connection.ensure_connection(max_retries=1, timeout=4)
    except Exception as error:
        logger.info("the broker is not there yet: %s: %s", type(error).__name__, error)
