"""Clients that repeat themselves, hang up, come in thousands, or find the web process dying under their hands."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.datasets.test_upload_stage import BOUNDARY, multipart
from tests.faults.arena import Answer, Arena, until
from tests.faults.process import PROJECT

pytestmark = [pytest.mark.fault, pytest.mark.engine]

TABLE = b"age,city\n" + b"".join(
    b"%d,%s\n" % (20 + n % 50, b"Rome" if n % 3 else b"Oslo") for n in range(400)
)
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def together(count: int, what: Callable[[int], Any]) -> list[Any]:
    """Call it `count` times at the same moment."""
    gate = threading.Barrier(count)

    def one(number: int) -> Any:
        gate.wait()
        return what(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_one_key_fifty_times_at_once_makes_one_job(arena: Arena) -> None:
    key = {"Idempotency-Key": str(uuid.UUID(int=arena.random.getrandbits(128)))}
    body = {"kind": "fault.platform", "spec": {}}
    before = arena.sql("select count(*) from jobs_job")[0][0]
    answers: list[Answer] = together(
        50, lambda _: arena.call("POST", arena.path("rehearsals"), body, headers=key, timeout=90)
    )
    assert {answer.status for answer in answers} <= {201, 409, 503}
    made = {answer.text for answer in answers if answer.status == 201}
    assert len(made) == 1, "everybody got the same answer"
    assert arena.sql("select count(*) from jobs_job")[0][0] == before + 1
    again = arena.call("POST", arena.path("rehearsals"), body, headers=key)
    assert ({again.text}, again.status, again.headers["idempotent-replayed"]) == (made, 201, "true")
    other = arena.call("POST", arena.path("rehearsals"), {**body, "title": "Else"}, headers=key)
    assert (other.status, other.body["error"]["code"]) == (422, "idempotency.mismatch")
    arena.acknowledged[str(again.body["id"])] = body


def test_a_web_process_killed_under_clients_who_insist_does_each_thing_once(arena: Arena) -> None:
    made: list[str] = []

    def client(number: int) -> None:
        made.extend(arena.insist(("fault.sandbox", "fault.platform")[number % 2]) for _ in range(8))

    before = arena.sql("select count(*) from jobs_job")[0][0]
    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    with arena.kept_alive("web"):
        for thread in threads:
            thread.start()
        for enough in (4, 12):
            until(lambda enough=enough: len(made) >= enough)
            os.kill(arena.processes["web"].pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert len(made) == len(set(made)) == 32
    assert arena.sql("select count(*) from jobs_job")[0][0] == before + 32


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_an_upload_that_is_cut_leaves_nothing(arena: Arena, share: float, chunked: bool) -> None:
    name = f"cut-{int(share * 1000)}-{chunked}"
    body = multipart(os.urandom(1_000_000), fields={"name": name})
    size = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    head = (
        f"POST {arena.path('datasets')} HTTP/1.1\r\nHost: 127.0.0.1:{arena.port}\r\n"
        f"Authorization: Bearer {arena.token}\r\nContent-Type: {FORM['Content-Type']}\r\n"
    ).encode()
    sent = body[: int(len(body) * share)]
    if chunked:
        sent = b"%x\r\n" % len(body) + sent
    with socket.create_connection(("127.0.0.1", arena.port)) as connection:
        connection.sendall(head + size + b"\r\n\r\n" + sent)
    until(lambda: os.listdir(arena.home.staging) == [])
    assert arena.call("GET", arena.path(f"datasets/{name}")).status == 404


def test_a_version_whose_reader_dies_is_whole_in_the_end(arena: Arena) -> None:
    arena.stop("worker")
    arena.start("worker", ATELIER_WORKERS="1")
    body = multipart(TABLE, fields={"name": "whole"})
    assert arena.call("POST", arena.path("datasets"), body, headers=FORM).status == 201
    (job,) = arena.sql(
        "select id from jobs_job where kind = 'datasets.ingest' order by created_at desc limit 1"
    )[0]
    with arena.kept_alive("worker"):
        until(lambda: arena.state(job) in ("running", "succeeded"))
        arena.processes["worker"].kill()
        until(lambda: arena.state(job) == "succeeded")
    version = arena.call("GET", arena.path("datasets/whole/versions/1")).body
    assert (version["state"], version["rows"]) == ("ready", 400)
    again = arena.call("GET", arena.path("datasets/whole/versions/1/download?format=csv"))
    assert len(again.text.splitlines()) == 401


def test_mlflow_down_is_said_to_its_clients_and_stops_nobody_else(arena: Arena) -> None:
    arena.with_mlflow()
    answer = arena.call(
        "POST", f"/p/{PROJECT}/mlflow/api/2.0/mlflow/experiments/search", {"max_results": 5}, timeout=60
    )
    assert (answer.status, bool(answer.body["message"])) == (503, True)
    assert answer.headers["retry-after"]
    assert arena.call("GET", "/readyz").body["components"]["tracking"] != "ready"
    job = arena.insist()
    until(lambda: arena.state(job) == "succeeded")


def test_a_thousand_requests_at_once_are_all_answered(arena: Arena) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    body = json.dumps({"kind": "fault.platform", "spec": {}}).encode()
    kinds: list[tuple[str, str, bytes, str]] = [
        ("GET", "/healthz", b"", ""),
        ("GET", arena.path("jobs"), b"", "atl_" + "x" * 40),
        ("GET", arena.path("jobs?limit=1"), b"", arena.token),
        ("GET", arena.path("nowhere"), b"", arena.token),
        ("GET", "/login", b"", ""),
    ]
    asked = [kinds[number % len(kinds)] for number in range(980)]
    asked += [("POST", arena.path("rehearsals"), body, arena.token)] * 20
    arena.random.shuffle(asked)
    answers: list[Answer] = []

    async def one(method: str, path: str, body: bytes, token: str) -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{arena.port}\r\nConnection: close\r\n"
        head += f"Authorization: Bearer {token}\r\n" if token else ""
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n" if body else "\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", arena.port)
        writer.write(head.encode() + body)
        raw = (await reader.read()).decode(errors="replace")
        writer.close()
        first, _, rest = raw.partition("\r\n")
        _, _, text = rest.partition("\r\n\r\n")
        answers.append(Answer(method, path, int(first.split()[1]) if first else 0, text))

    async def all_of_them() -> None:
        await asyncio.gather(*(one(*request) for request in asked))

    # In a thread of its own: a browser of the suite may keep a loop in this one.
    thread = threading.Thread(target=lambda: asyncio.run(all_of_them()))
    thread.start()
    thread.join(240)
    arena.answers += answers
    statuses = Counter(answer.status for answer in answers)
    assert sum(statuses.values()) == len(asked), statuses
    assert set(statuses) <= {200, 201, 401, 404, 429, 503}, statuses
    assert statuses[200] >= 300, statuses
    for answer in answers:
        if answer.status == 201:
            arena.acknowledged[
                json.loads(answer.text[answer.text.index("{") : answer.text.rindex("}") + 1])["id"]
            ] = {}
