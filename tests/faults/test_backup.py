"""A backup taken under load, restored over the database: whole at its moment, and the studio goes on from there."""

from __future__ import annotations

import threading

import pytest

from runtime.config import load
from runtime.prepare import back_up
from runtime.restore import go_back
from tests.faults import ledger
from tests.faults.arena import Arena, until

pytestmark = [pytest.mark.fault, pytest.mark.engine]


def test_a_backup_under_load_is_whole_and_can_be_gone_back_to(arena: Arena) -> None:
    over = threading.Event()

    def client(number: int) -> None:
        while not over.is_set():
            arena.submit(("fault.sandbox", "fault.platform")[number], steps=2, pause=0.05)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    enough = len(arena.acknowledged) + 6
    until(lambda: len(arena.acknowledged) >= enough)
    before = dict(arena.acknowledged)
    dump = back_up(arena.home, load({"ATELIER_HOME": str(arena.home.path)}))
    assert dump is not None
    until(lambda: len(arena.acknowledged) >= len(before) + 2)
    over.set()
    for thread in threads:
        thread.join()
    later = [job for job in arena.acknowledged if job not in before]

    arena.stop("web", "scheduler", "worker")
    go_back(arena.home, dump, arena.servers.superuser())
    ledger.note(arena.ledger, "restored")
    arena.acknowledged = before
    arena.keys = {key: job for key, job in arena.keys.items() if job in before}
    arena.start("web", "scheduler", "worker")
    arena.settle()
    recent = list(before)[-6:]
    ended = arena.sql("select id, state, fence, error_code, reason from jobs_job where id = any(%s)", recent)
    assert {row[1] for row in ended} == {"succeeded"}, f"{ended}\n{arena.report('worker')}"
    known = {str(job) for (job,) in arena.sql("select id from jobs_job")}
    assert set(before) <= known, "all that was acknowledged before the backup began"
    gone = set(later) - known
    assert gone <= set(later[-len(gone) :] if gone else []), (
        "one moment: nothing is missing before what is there"
    )
