"""Three machines share one load with the studio's own worker switched off; one of them loses its power, one its
network, one is drained. The checker of the arena then finds nothing lost and nothing done twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.arena import LEASE, Arena, until
from tests.faults.hosts import Lan, lan

pytestmark = [pytest.mark.fault, pytest.mark.engine]
LOAD = 100


@pytest.fixture
def network(arena: Arena) -> Iterator[Lan]:
    with lan(arena) as made:
        yield made


def test_three_hosts_share_a_load_though_one_dies_and_one_is_cut_off(arena: Arena, network: Lan) -> None:
    one, two, three = (network.add(name) for name in ("north", "south", "west"))
    network.wait_for(one, two, three)
    arena.stop("worker")

    began = time.monotonic()
    kinds = ("fault.sandbox", "fault.platform")
    with ThreadPoolExecutor(4) as clients:
        jobs = list(clients.map(lambda n: arena.insist(kinds[n % 2], steps=2, pause=0.15), range(LOAD)))

    until(lambda: len(arena.facts("end")) >= 12)
    dead = network.worker_of(two)
    until(lambda: arena.sql("select 1 from jobs_job where worker = %s and state = 'running'", dead))
    two.cut_power()
    if network.spaced:
        three.pull_cable()
        time.sleep(LEASE * 1.3)
        three.plug_in()

    def over() -> bool:
        arena.hurry()
        return all(arena.state(job) == "succeeded" for job in jobs)

    until(over, 120, lambda: f"{arena.live()}\n{one.log[-2000:]}\n{three.log[-2000:]}")
    took = time.monotonic() - began
    rows = arena.sql(
        "select worker, outcome, count(*) from jobs_jobattempt where job_id = any(%s) group by 1, 2", jobs
    )
    ran = Counter({(str(worker), str(outcome)): int(count) for worker, outcome, count in rows})
    print(f"{LOAD} jobs on three hosts in {took:.1f} s: {dict(ran)}")
    survivors = [network.worker_of(host) for host in (one, three)]
    assert all(ran[name, "succeeded"] > 0 for name in survivors)
    assert any(name == dead for name, _ in ran), "the host that died had work"
    assert sum(count for (_, outcome), count in ran.items() if outcome == "succeeded") == LOAD
    assert 1 <= ran[dead, "lost"] <= 2

    # What one host prints is read from another while it runs.
    job = arena.insist(steps=80, pause=0.1)
    until(lambda: arena.state(job) == "running")
    chunk = until(lambda: arena.call("GET", arena.path(f"jobs/{job}/logs")).body.get("text"))
    assert "step 0 done" in chunk
    assert arena.state(job) == "running"
    assert arena.cancel(job).status == 200

    # A drained host takes nothing, and works again when told to.
    drained = survivors[1]
    arena.sql("update jobs_worker set draining = true where name = %s", drained)
    until(lambda: "takes no new work" in three.log)
    held = [arena.insist(steps=1) for _ in range(6)]
    until(lambda: all(arena.state(job) == "succeeded" for job in held))
    where = arena.sql("select distinct worker from jobs_jobattempt where job_id = any(%s)", held)
    assert where == [(survivors[0],)]

    arena.sql("update jobs_worker set draining = (name = %s) where name = any(%s)", survivors[0], survivors)
    until(lambda: "takes work again" in three.log and "takes no new work" in one.log)
    rung = [arena.insist(steps=1) for _ in range(3)]
    until(lambda: all(arena.state(job) == "succeeded" for job in rung))
    where = arena.sql("select distinct worker from jobs_jobattempt where job_id = any(%s)", rung)
    assert where == [(drained,)]


def test_a_machine_with_the_wrong_store_or_key_is_refused_with_a_sentence(arena: Arena, network: Lan) -> None:
    forgotten = network.add("east", ATELIER_STORAGE_URL=(arena.folder / "elsewhere").as_uri())
    stranger = network.add("far", ATELIER_SECRET_KEY="x" * 40)
    for host, sentence in ((forgotten, "holds nothing of this studio"), (stranger, "with another key")):
        assert host.process is not None
        assert host.process.wait(60) != 0
        assert sentence in host.log
        assert network.worker_of(host) == ""
