"""Celery as a doorbell: its settings, and that a ring which nobody can answer yet stays where others hear it."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from apps.jobs.consumer import Consumer
from apps.jobs.doorbell import make_celery, queue_name, ring
from tests.jobs.bells import HEARD, bell


def test_it_is_set_as_a_doorbell_has_to_be() -> None:
    """Each of these has cost somebody a job (docs/jobs.md, design of the engine)."""
    conf = make_celery("redis://nowhere").conf
    assert conf.task_ignore_result
    assert not conf.task_acks_late, (
        "acknowledged before it is acted upon: never delivered again for being slow"
    )
    assert conf.worker_disable_prefetch
    assert (conf.task_serializer, conf.accept_content) == ("json", ["json"])
    assert not conf.worker_cancel_long_running_tasks_on_connection_loss
    transport = conf.broker_transport_options
    assert all(
        transport[name] for name in ("socket_timeout", "socket_connect_timeout", "health_check_interval")
    )
    assert conf.broker_connection_max_retries is None, "a broker may be away for days"
    assert not conf.beat_schedule


def test_no_more_rings_wait_than_wake_every_slot(studio_cluster: Any) -> None:
    """A thousand submitted jobs leave no thousand stale rings behind which the next one would wait."""
    queue, app = f"test-{uuid.uuid4().hex[:8]}", bell()

    def waiting() -> int:
        with app.connection_for_read() as connection:
            return int(connection.default_channel.client.llen(queue_name(queue)))

    ring(app, [(f"first {number}", queue) for number in range(3)], at_most=5)
    assert waiting() == 3
    ring(app, [(f"then {number}", queue) for number in range(100)], at_most=5)
    assert waiting() == 5
    ring(app, [("whatever", queue)])
    assert waiting() == 6


def test_rings_wait_in_the_broker_for_a_free_thread(studio_cluster: Any) -> None:
    """None is fetched ahead: another worker could answer it."""
    go_on = threading.Event()
    answered: list[str] = []

    def answer(job_id: str) -> None:
        answered.append(job_id)
        go_on.wait(20)

    queue, app = f"test-{uuid.uuid4().hex[:8]}", bell()
    HEARD[queue] = answer
    rings = [f"{queue} {number}" for number in range(4)]
    consumer = Consumer(app, [queue], 1)
    consumer.start()
    try:
        ring(app, [(text, queue) for text in rings])
        until = time.monotonic() + 15
        while not answered and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.2)
        with app.connection_for_read() as connection:
            waiting = connection.default_channel.client.llen(queue_name(queue))
        assert (len(answered), waiting) == (1, 3)
        go_on.set()
        while len(answered) < 4 and time.monotonic() < until:
            time.sleep(0.02)
        assert answered == rings
    finally:
        go_on.set()
        consumer.stop()
        assert consumer._thread is not None
        consumer._thread.join(10)
