"""PostgreSQL is killed in the middle of writes: what was acknowledged is there, what was not is whole or absent."""

from __future__ import annotations

import threading
import time

import pytest

from tests.faults.arena import Arena, exists, until

pytestmark = [pytest.mark.fault, pytest.mark.engine]


def test_it_is_durable_as_in_a_real_studio(arena: Arena) -> None:
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert arena.sql(f"show {name}") == [("on",)]


def test_a_database_killed_in_the_middle_of_writes_keeps_what_it_acknowledged(arena: Arena) -> None:
    over = threading.Event()
    made: list[str] = []

    def client(number: int) -> None:
        while not over.is_set():
            made.append(arena.submit(("fault.sandbox", "fault.platform")[number % 2], steps=2, pause=0.05))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        enough = len(arena.acknowledged) + 6
        until(lambda enough=enough: len(arena.acknowledged) >= enough)
        time.sleep(arena.random.uniform(0, 0.2))
        arena.servers.kill_database()
        arena.servers.start_database()
    until(lambda: made and made[-1])
    over.set()
    for thread in threads:
        thread.join()
    arena.settle()
    acknowledged = [job for job in made if job]
    assert len(acknowledged) >= 12
    assert {arena.state(job) for job in acknowledged} == {"succeeded"}


def test_a_database_that_is_away_for_longer_than_a_lease_costs_an_attempt_and_no_job(arena: Arena) -> None:
    job = arena.insist(steps=600, pause=0.1)
    begun = until(lambda: arena.facts("begin", job=job))[0]["pid"]
    until(lambda: arena.state(job) == "running")
    arena.servers.kill_database()
    answer = arena.call("GET", arena.path("jobs"))
    assert (answer.status, answer.body["error"]["code"]) == (503, "database.unavailable")
    assert arena.call("GET", "/healthz").status == 200, "the process itself is well"
    ready = arena.call("GET", "/readyz")
    assert ready.status == 503
    assert ready.body["components"]["worker"] == "unknown while the database is away", "not asked one by one"
    until(lambda: not exists(begun), 30)  # nobody could prolong its lease, so it must not go on
    arena.servers.start_database()
    until(lambda: arena.attempts(job)[0][1] == "lost")
    until(lambda: arena.call("GET", arena.path("jobs")).status == 200)
    arena.hurry()
    until(lambda: len(arena.facts("begin", job=job)) == 2)
    assert arena.cancel(job).status == 200
