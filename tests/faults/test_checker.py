"""The checker finds what it looks for: each promise is broken by hand, and mended again."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.datasets.test_upload_stage import multipart
from tests.faults import ledger
from tests.faults.arena import Answer, Arena, until
from tests.faults.checker import violations
from tests.faults.test_requests import FORM, TABLE

pytestmark = [pytest.mark.fault, pytest.mark.engine]
EFFECT = "insert into faults_effect (job_id, fence, key, sha256) values (%s, %s, %s, '')"


@contextmanager
def broken(do: Callable[[], object], undo: Callable[[], object]) -> Iterator[None]:
    do()
    try:
        yield
    finally:
        undo()


def test_each_broken_promise_is_found_and_called_by_its_number(arena: Arena) -> None:
    job = arena.insist()
    until(lambda: arena.state(job) == "succeeded")
    sql, made = arena.sql, arena.folder / f"made/{job}/1"
    kept, stranger, copy = made.read_bytes(), str(uuid.uuid4()), arena.ledger.read_bytes()
    effect = sql("select id, fence, key, sha256 from faults_effect where job_id = %s", job)[0]
    log = arena.home.logs / "worker.log"
    ways: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        (
            "1: ",
            lambda: arena.acknowledged.update({stranger: {}}),
            lambda: arena.acknowledged.pop(stranger),
        ),
        (
            "2: ",
            lambda: sql("update faults_effect set fence = 7 where id = %s", effect[0]),
            lambda: sql("update faults_effect set fence = 1 where id = %s", effect[0]),
        ),
        ("2: ", lambda: made.write_bytes(b"other"), lambda: made.write_bytes(kept)),
        (
            "2: ",
            lambda: sql("update jobs_jobattempt set outcome = 'lost' where job_id = %s", job),
            lambda: sql("update jobs_jobattempt set outcome = 'succeeded' where job_id = %s", job),
        ),
        (
            "3: ",
            lambda: sql(EFFECT, job, 2, effect[2]),
            lambda: sql("delete from faults_effect where job_id = %s and fence = 2", job),
        ),
        (
            "3: ",
            lambda: ledger.note(arena.ledger, "begin", job=job, fence=1),
            lambda: arena.ledger.write_bytes(copy),
        ),
        (
            "5: ",
            lambda: sql(
                "insert into jobs_outbox (job_id, queue, due_at) values (%s, 'cpu', now() + '1h')", job
            ),
            lambda: sql("delete from jobs_outbox where job_id = %s", job),
        ),
        (
            "6: ",
            lambda: sql("update jobs_jobattempt set finished_at = null where job_id = %s", job),
            lambda: sql("update jobs_jobattempt set finished_at = now() where job_id = %s", job),
        ),
        ("7: ", lambda: arena.cancelled.add(job), lambda: arena.cancelled.discard(job)),
        *(
            ("8: ", lambda answer=answer: arena.answers.append(answer), lambda: arena.answers.pop())
            for answer in (
                Answer("GET", "/", 500, "Server Error"),
                Answer("GET", "/", 503, "<html>"),
                Answer("GET", "/", 200, "Traceback (most recent call last):"),
                Answer("GET", "/", 200, f"the token is {arena.token}"),
            )
        ),
        (
            "8: ",
            lambda: log.write_text(log.read_text() + arena.servers.passwords["atelier"]),
            lambda: log.write_text(log.read_text().replace(arena.servers.passwords["atelier"], "")),
        ),
    ]
    assert violations(arena) == []
    for number, do, undo in ways:
        with broken(do, undo):
            assert any(sentence.startswith(number) for sentence in violations(arena)), number
    assert violations(arena) == []


def test_a_process_that_nobody_owns_is_found(arena: Arena) -> None:
    code = "import os, sys, time; os.fork() and os._exit(0); print(os.getpid(), flush=True); time.sleep(60)"
    left = _leave_behind(code, str(arena.home.path))
    try:
        assert f"6: process {left} belongs to nobody" in "\n".join(violations(arena))
    finally:
        os.kill(left, 9)


def _leave_behind(code: str, home: str) -> int:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "ATELIER_HOME": home},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.wait()
    process.stdout.close()
    return pid


def test_a_version_without_its_bytes_is_found(arena: Arena) -> None:
    body = multipart(TABLE, fields={"name": "bytes"})
    assert arena.call("POST", arena.path("datasets"), body, headers=FORM).status == 201
    arena.settle()
    key = arena.sql("select key from datasets_versionpart order by id desc limit 1")[0][0]
    part = arena.home.objects / key
    away = part.with_name("away")
    with broken(lambda: part.rename(away), lambda: away.rename(part)):
        assert any(sentence.startswith("4: ") for sentence in violations(arena))
    assert violations(arena) == []
