"""The watchman of a worker: a doorbell that has gone silent, slots that do not come back."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from apps.jobs import watchman
from apps.jobs.consumer import Consumer
from apps.jobs.doorbell import ring
from apps.jobs.heart import Heart
from apps.jobs.models import Job
from apps.jobs.watchman import Watchman
from tests.jobs.bells import HEARD, bell


@dataclass
class Slots:
    """Slots that find overdue work as a test says."""

    count: int = 2
    heard: int = 0
    overdue: list[bool] = field(default_factory=list)

    def rescue(self) -> bool:
        return self.overdue.pop(0)


@pytest.fixture(autouse=True)
def no_strays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchman, "give_back_strays", lambda **asked: 0)


def rounds(slots: Slots, *overdue: bool, ringing: Callable[[Slots], None] = lambda slots: None) -> list[int]:
    """The numbers of the rounds in which the consumer was renewed."""
    renewed: list[int] = []
    man = Watchman(slots, Heart("w"), lambda: renewed.append(len(overdue) - len(slots.overdue) - 1))
    slots.overdue = list(overdue)
    while slots.overdue:
        man.look()
        ringing(slots)
    return renewed


def test_one_lost_ring_is_no_silence() -> None:
    assert rounds(Slots(), False, True, False, False) == []


def test_work_that_comes_again_and_again_without_a_ring_is() -> None:
    assert rounds(Slots(), True, True, False, True, True) == [1, 4]


def test_rings_that_are_heard_show_that_it_listens() -> None:
    def rings(slots: Slots) -> None:
        slots.heard += 1

    assert rounds(Slots(), True, True, True, True, ringing=rings) == []


def test_a_worker_none_of_whose_slots_comes_back_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    heart: Any = Heart("w")
    man = Watchman(Slots(count=2, overdue=[False] * 4), heart, lambda: None)
    monkeypatch.setattr(watchman, "WEDGED_SECONDS", 0.0)
    with heart.watch(Job(fence=1)) as first, heart.watch(Job(fence=1)) as second:
        man.look()
        assert not man.wedged.is_set(), "they work"
        first.stale = True
        man.look()
        time.sleep(0.01)
        man.look()
        assert not man.wedged.is_set(), "one slot is left"
        second.stale = True
        man.look()
        time.sleep(0.01)
        man.slots.overdue = [False]  # type: ignore[attr-defined]
        man.look()
        assert man.wedged.is_set()


def _thread(consumer: Consumer) -> threading.Thread:
    assert consumer._thread is not None
    return consumer._thread


@pytest.fixture
def bells(studio_cluster: Any) -> Iterator[tuple[Consumer, Callable[..., bool]]]:
    """A real consumer on a queue of its own, and a try to reach it."""
    queue, heard = f"test-{uuid.uuid4().hex[:8]}", threading.Event()
    app = bell()
    HEARD[queue] = lambda ring: heard.set()
    consumer = Consumer(app, [queue], 1)
    consumer.start()

    def reaches(seconds: float = 15.0) -> bool:
        heard.clear()
        ring(app, [(f"{queue} job", queue)])
        return heard.wait(seconds)

    yield consumer, reaches
    consumer.stop()
    _thread(consumer).join(10)
    assert not _thread(consumer).is_alive(), "nobody listens any more"


def test_a_consumer_that_has_gone_silent_listens_anew(bells: tuple[Consumer, Callable[..., bool]]) -> None:
    consumer, reaches = bells
    assert reaches()
    controller = consumer._controller
    for queue in consumer.queues:  # it lives, holds its connection, and waits for nothing
        controller.consumer.call_soon(controller.consumer.cancel_task_queue, f"atelier.{queue}")
    until = time.monotonic() + 10
    while controller.consumer.task_consumer.queues and time.monotonic() < until:
        time.sleep(0.05)
    assert not reaches(0.5)
    silent = _thread(consumer)
    consumer.renew()
    assert reaches()
    silent.join(10)
    assert not silent.is_alive()
