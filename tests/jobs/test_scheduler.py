"""The relay and the chores."""

from __future__ import annotations

import datetime
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection

from apps.jobs import attempts, chores, nodes, relay
from apps.jobs.actions import nudge
from apps.jobs.attempts import Ending
from apps.jobs.chores import Chore, ChoreRunner, Locks, chore, known_chores
from apps.jobs.logs import read_log
from apps.jobs.models import Job, Outbox, Worker
from apps.jobs.sessions import open_session
from apps.jobs.tasks import clear_attempts
from foundation.clock import now
from tests.jobs.test_executor_contract import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was rung for, instead of a broker."""
    heard: list[tuple[str, str]] = []
    monkeypatch.setattr(relay, "ring", lambda app, doors, **_: heard.extend(doors))
    monkeypatch.setattr(relay, "open_doorbell", lambda app: None)
    return heard


@pytest.fixture
def no_chores(monkeypatch: pytest.MonkeyPatch) -> dict[str, Chore]:
    """An empty registry of chores."""
    registry: dict[str, Chore] = {}
    monkeypatch.setattr(chores, "_chores", registry)
    return registry


@pytest.fixture
def runner() -> Iterator[Callable[[], ChoreRunner]]:
    stop = threading.Event()
    threads: list[threading.Thread] = []
    locks: list[Locks] = []

    def start() -> ChoreRunner:
        locks.append(Locks(open_session))
        runner = ChoreRunner(stop, locks[-1])
        threads.append(threading.Thread(target=runner.run))
        threads[-1].start()
        return runner

    yield start
    stop.set()
    for thread in threads:
        thread.join(10)
    for lock in locks:
        lock.close()


def test_the_relay_rings_once_and_removes_the_row(submit: Callable[..., Job], rung: list[Any]) -> None:
    job = submit()
    assert relay.relay_once(None) == 1
    assert rung == [(str(job.pk), "cpu")]
    assert relay.relay_once(None) == 0
    assert not Outbox.objects.exists()


def test_the_relay_waits_until_a_row_is_due(submit: Callable[..., Job], rung: list[Any]) -> None:
    submit(not_before=now() + datetime.timedelta(minutes=5))
    assert relay.relay_once(None) == 0


def test_the_relay_keeps_the_row_when_the_broker_is_away(
    submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(app: Any, doors: Any, **_: Any) -> None:
        raise ConnectionError("no broker")

    submit()
    monkeypatch.setattr(relay, "ring", refuse)
    with pytest.raises(ConnectionError):
        relay.relay_once(None)
    assert Outbox.objects.count() == 1


def test_two_relays_do_not_ring_for_the_same_row(submit: Callable[..., Job], rung: list[Any]) -> None:
    submit()
    with open_session() as other:
        other.autocommit = False
        other.execute("SELECT id FROM jobs_outbox FOR UPDATE")
        assert relay.relay_once(None) == 0
        other.rollback()
    assert relay.relay_once(None) == 1


def test_the_relay_hears_a_submission(
    submit: Callable[..., Job], rung: list[Any], in_thread: Callable[..., threading.Thread]
) -> None:
    stop = threading.Event()
    in_thread(relay.Relay(None, stop).run)  # type: ignore[arg-type]
    job = submit()
    until(lambda: rung)
    assert rung == [(str(job.pk), "cpu")]
    stop.set()
    nudge()


def test_a_chore_is_done_again_and_again(
    no_chores: dict[str, Chore], runner: Callable[[], ChoreRunner]
) -> None:
    done: list[int] = []
    chore("test.count", every=0.01)(lambda: done.append(1))
    assert [item.name for item in known_chores()] == ["test.count"]
    runner()
    until(lambda: len(done) >= 3)


def test_a_chore_that_fails_stops_nobody(
    no_chores: dict[str, Chore], runner: Callable[[], ChoreRunner]
) -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise RuntimeError("bug in a chore")

    chore("test.fail", every=0.01)(fail)
    chore("test.work", every=0.01)(lambda: done.append("worked"))
    runner()
    until(lambda: done.count("failed") >= 2 and done.count("worked") >= 2)


def test_a_chore_that_failed_does_not_wait_for_hours(
    no_chores: dict[str, Chore], runner: Callable[[], ChoreRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chores, "RETRY_SECONDS", 0.01)
    tried: list[str] = []

    def work() -> None:
        tried.append("now")
        if len(tried) < 3:
            raise OperationalError("the database is not there yet")

    chore("test.rare", every=3600)(work)
    runner()
    until(lambda: len(tried) >= 3)


def test_two_nodes_never_do_a_chore_at_once(
    no_chores: dict[str, Chore], runner: Callable[[], ChoreRunner]
) -> None:
    inside, most, done = [0], [0], [0]

    def work() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.02)")
        inside[0] -= 1
        done[0] += 1

    chore("test.alone", every=0.001)(work)
    runner()
    runner()
    until(lambda: done[0] >= 8)
    assert most[0] == 1


@pytest.mark.django_db(transaction=True)
def test_a_lost_session_of_locks_is_an_outage_and_the_next_question_opens_another() -> None:
    opened: list[Any] = []

    def connect() -> Any:
        opened.append(open_session())
        return opened[-1]

    locks = Locks(connect)
    try:
        assert locks.take("test.lost")
        with open_session() as other:
            other.execute("select pg_terminate_backend(%s)", [opened[0].info.backend_pid])
        with pytest.raises(ConnectionError):
            locks.take("test.lost")
        assert locks.take("test.lost")
        assert len(opened) == 2
    finally:
        locks.close()


def test_two_chores_cannot_have_one_name(no_chores: dict[str, Chore]) -> None:
    chore("test.one", every=1)(nudge)
    with pytest.raises(ValueError, match="two chores"):
        chore("test.one", every=1)(known_chores)


def test_folders_that_a_killed_worker_left_are_removed_and_their_logs_kept(
    claimed: Callable[..., Job], store: Any
) -> None:
    base = Path(settings.CONFIG.attempts_dir)
    held, lost = claimed(), claimed()
    for name in (held.pk, lost.pk, uuid.uuid4()):
        (base / str(name) / "1").mkdir(parents=True)
        (base / str(name) / "1" / "log.txt").write_text("so far so good")
    attempts.finish(job_id=lost.pk, fence=1, ending=Ending("lost", "Gone.", "job.worker_lost"))
    clear_attempts(older_than=datetime.timedelta(seconds=-5))
    assert [folder.name for folder in base.iterdir()] == [str(held.pk)]
    assert read_log(lost).text == "so far so good"


def test_a_process_is_ready_silent_or_not_there() -> None:
    assert nodes.process_state("worker") == "not started"
    row = nodes.register(kind="worker", generation="g2", queues=["cpu"], slots=2)
    assert nodes.process_state("worker") == "ready"
    assert nodes.process_state("worker", "g2") == "ready"
    assert nodes.process_state("worker", "g3") == "not started"
    Worker.objects.filter(pk=row.pk).update(heartbeat_at=now() - datetime.timedelta(minutes=5))
    assert nodes.process_state("worker") == "silent"
    nodes.say_stopped(row.name)
    assert nodes.process_state("worker") == "not started"
