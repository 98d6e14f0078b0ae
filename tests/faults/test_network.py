"""A worker on the other side of a bad network: slow, resetting, or a black hole for longer than its leases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from runtime import valkey
from tests.faults.arena import LEASE, Arena, exists, until
from tests.faults.proxy import Proxy

pytestmark = [pytest.mark.fault, pytest.mark.engine]


@dataclass
class Network:
    """What stands between the worker "worker-far", which serves the queue far, and the servers."""

    database: Proxy
    broker: Proxy

    def each(self) -> tuple[Proxy, Proxy]:
        return self.database, self.broker


@pytest.fixture
def network(arena: Arena) -> Iterator[Network]:
    servers = arena.servers
    made = Network(Proxy(servers.database_dir / ".s.PGSQL.5432"), Proxy(servers.broker_dir / valkey.SOCKET))
    arena.start(
        "worker-far",
        ATELIER_QUEUES="far",
        ATELIER_DATABASE_URL=f"postgresql://atelier:{servers.passwords['atelier']}@127.0.0.1:{made.database.port}/atelier",
        ATELIER_REDIS_URL=f"redis://:{servers.passwords['valkey']}@127.0.0.1:{made.broker.port}/0",
    )
    yield made
    for proxy in made.each():
        proxy.deaf, proxy.delay = False, 0.0
    arena.kill("worker-far")
    for proxy in made.each():
        proxy.stop()


@pytest.mark.fault("long")
def test_a_slow_network_costs_time_and_no_attempt(arena: Arena, network: Network) -> None:
    for proxy in network.each():
        proxy.delay = 0.03
    jobs = [arena.insist(kind, queue="far") for kind in ("fault.sandbox", "fault.platform")]
    until(lambda: all(arena.state(job) == "succeeded" for job in jobs))
    for job in jobs:
        assert [outcome for _, outcome, _ in arena.attempts(job)] == ["succeeded"]


def test_connections_that_are_reset_again_and_again_lose_nothing(arena: Arena, network: Network) -> None:
    jobs = [
        arena.insist(kind, queue="far", steps=6, pause=0.1)
        for kind in ("fault.sandbox", "fault.platform") * 4
    ]
    broken = 0
    for _ in range(25):
        broken += sum(proxy.reset() for proxy in network.each())
        time.sleep(arena.random.uniform(0.02, 0.2))
    assert broken > 5

    def over() -> bool:
        arena.hurry()
        return all(arena.state(job) == "succeeded" for job in jobs)

    until(over, 60, lambda: f"{arena.live()} {arena.report('worker-far')}")


def test_a_worker_in_a_black_hole_gives_up_before_its_lease_ends(arena: Arena, network: Network) -> None:
    job = arena.insist(queue="far", steps=600, pause=0.1)
    old = until(lambda: arena.facts("begin", job=job))[0]["pid"]
    until(lambda: arena.state(job) == "running")
    arena.start("worker-second", ATELIER_QUEUES="far,cpu")
    for proxy in network.each():
        proxy.deaf = True
    second = until(lambda: [fact for fact in arena.facts("begin", job=job) if fact["fence"] == 2])[0]
    # The worker gives up at nine tenths of its lease: half a second of these five, which a machine in great need may
    # take to wake it; four and a half of a real lease.
    until(lambda: not exists(old), 10)
    first = [fact["at"] for fact in arena.facts("step", job=job) if fact["fence"] == 1]
    assert max(first) < second["at"] + LEASE / 2, "the child was dead when the job was given to somebody else"
    for proxy in network.each():
        proxy.deaf = False
    arena.stop("worker-second")  # its job goes back to the queue, for the far worker to take
    until(lambda: [fact for fact in arena.facts("begin", job=job) if fact["fence"] == 3], 6 * LEASE + 30)
    assert arena.attempts(job)[0][1:] == ("lost", "job.worker_lost")
    assert arena.cancel(job).status == 200
    until(lambda: arena.state(job) == "cancelled")
