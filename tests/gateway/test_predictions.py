"""Predictions through the gateway: who may, what is checked, what comes back, what is recorded."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.serving.fake import FakeProcess
from gateway.capture import Spool

from .conftest import Client, World, stopped

RECORD = {"age": 40, "balance": 2.5, "note": "x"}
PATH = "/serve/bank/churn/predict"


def lines(spool: Spool) -> list[Any]:
    """Everything in the spool but the headers."""
    found = []
    for path in sorted(spool.folder.rglob("*.*")):
        found += [json.loads(line) for line in path.read_text().splitlines()[1:]]
    return found


def test_it_predicts_and_records_every_record(client: Client, spool: Spool) -> None:
    answer = client.call("POST", PATH, {"records": [RECORD, {**RECORD, "age": 1}]})
    assert answer.status == 200
    body = answer.json()
    assert body["predictions"] == [42.5, 3.5]
    assert body["model"] == "churn/1"
    recorded = lines(spool)
    assert [line["id"] for line in recorded] == body["inference_ids"]
    assert [line["x"] for line in recorded] == [[40, 2.5, "x"], [1, 2.5, "x"]]
    assert [line["y"] for line in recorded] == [42.5, 3.5]
    assert UUID(body["inference_ids"][0]).version == 7
    assert recorded[0]["q"] == answer.headers["x-request-id"]


def test_a_large_request_is_checked_in_a_thread_and_answered_alike(client: Client, spool: Spool) -> None:
    answer = client.call("POST", PATH, {"records": [{**RECORD, "age": i} for i in range(5000)]})
    assert answer.json()["predictions"] == [i + 2.5 for i in range(5000)]
    assert len(lines(spool)) == 5000


def test_rows_may_come_in_any_order_of_columns(client: Client) -> None:
    answer = client.call("POST", PATH, {"rows": [[2.5, 40]], "columns": ["balance", "age"]})
    assert answer.json()["predictions"] == [42.5]
    assert client.call("POST", PATH, {"rows": [[40, 2.5, None]]}).json()["predictions"] == [42.5]


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [(None, 401, "auth.required"), ("bad", 401, "auth.required"), ("stranger", 404, "project.not_found")],
)
def test_it_refuses_those_who_may_not(client: Client, token: str | None, status: int, code: str) -> None:
    answer = client.call("POST", PATH, {"records": [RECORD]}, token=token)
    assert answer.status == status
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


def test_a_read_only_token_sees_the_schema_but_leaves_no_records(client: Client, spool: Spool) -> None:
    assert client.call("POST", PATH, {"records": [RECORD]}, token="reader").status == 403
    assert client.call("GET", "/serve/bank/churn/schema", token="reader").status == 200
    assert lines(spool) == []


def test_a_browser_session_needs_the_same_origin(client: Client) -> None:
    cookie = {"cookie": "sessionid=session"}
    foreign = {**cookie, "origin": "https://evil.example"}
    own = {**cookie, "origin": "http://studio.example"}
    assert client.call("POST", PATH, {"records": [RECORD]}, token=None, headers=cookie).status == 403
    assert client.call("POST", PATH, {"records": [RECORD]}, token=None, headers=foreign).status == 403
    assert client.call("POST", PATH, {"records": [RECORD]}, token=None, headers=own).status == 200


def test_an_unknown_deployment_is_not_found(client: Client) -> None:
    answer = client.call("POST", "/serve/bank/other/predict", {"records": [RECORD]})
    assert (answer.status, answer.json()["error"]["code"]) == (404, "deployment.not_found")


def test_a_nul_in_the_address_is_not_found_rather_than_an_error(client: Client) -> None:
    answer = client.call("POST", "/serve/bank/\x00/predict", {"records": [RECORD]})
    assert answer.status == 404


def test_a_number_of_thousands_of_digits_is_refused_in_plain_words(client: Client) -> None:
    answer = client.call("POST", PATH, b'{"records": [{"Age": %s}]}' % (b"1" * 5000))
    assert answer.status == 400
    assert "too many digits" in answer.json()["error"]["message"]
    assert "sys." not in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_malformed_json_is_a_400(client: Client, body: bytes) -> None:
    answer = client.call("POST", PATH, body)
    assert (answer.status, answer.json()["error"]["code"]) == (400, "request.malformed")


def test_another_method_is_a_405(client: Client) -> None:
    assert client.call("GET", PATH).status == 405
    assert client.call("POST", "/serve/bank/churn/schema").status == 405


def test_a_body_that_is_too_large_is_a_413(client: Client) -> None:
    answer = client.call("POST", PATH, b"{}", headers={"content-length": str(10**9)})
    assert answer.status == 413


@pytest.mark.parametrize(
    ("state", "words"),
    [("starting", "starting"), ("stopped", "is stopped; start it"), ("failed", "no signature")],
)
def test_it_says_why_nothing_answers(client: Client, world: World, state: str, words: str) -> None:
    world.route = stopped(world.route, state, "no signature")
    answer = client.call("POST", PATH, {"records": [RECORD]})
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert words in answer.json()["error"]["message"]


def test_a_switched_revision_is_found_without_a_failed_request(
    client: Client, world: World, start_model: Callable[[str], FakeProcess]
) -> None:
    assert client.call("POST", PATH, {"records": [RECORD]}).status == 200
    green = start_model("green")
    world.fresh_routes = [replace(world.route, socket=str(green.launch.socket), model="churn/2", revision=2)]
    os.unlink(world.route.socket or "")
    client.loop.run_until_complete(_drop_connections(client))
    answer = client.call("POST", PATH, {"records": [RECORD]})
    assert (answer.status, answer.json()["model"]) == (200, "churn/2")


async def _drop_connections(client: Client) -> None:
    predictions: Any = client.gateway.predictions
    for upstream in predictions._upstreams.values():
        await upstream.session.close()
    predictions._upstreams.clear()


def test_a_dead_process_is_a_503_and_nothing_is_recorded(client: Client, world: World, spool: Spool) -> None:
    world.route = replace(world.route, socket=str(Path(world.route.socket or "").with_name("gone.sock")))
    answer = client.call("POST", PATH, {"records": [RECORD]})
    assert (answer.status, answer.json()["error"]["code"]) == (503, "deployments.down")
    assert lines(spool) == []


def test_records_that_end_a_model_process_are_given_to_no_other_one(client: Client, world: World) -> None:
    """A process that takes the request and ends; its successor of the same revision must not see the records."""
    given: list[bytes] = []

    async def take_and_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        given.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async def ask() -> tuple[int, Any]:
        path = str(Path(world.route.socket or "").with_name("deadly.sock"))
        world.route = replace(world.route, socket=path)
        world.fresh_routes = [world.route]
        async with await asyncio.start_unix_server(take_and_end, path):
            answer = await client.acall("POST", PATH, {"records": [RECORD]})
        return answer.status, answer.json()

    status, body = client.loop.run_until_complete(ask())
    assert (status, body["error"]["code"]) == (503, "deployments.lost")
    assert len(given) == 1


def test_no_prediction_leaves_when_it_cannot_be_recorded(
    client: Client, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.call("POST", PATH, {"records": [RECORD]}).status == 200

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("gateway.capture.os.write", full)
    answer = client.call("POST", PATH, {"records": [RECORD]})
    assert (answer.status, answer.json()["error"]["code"]) == (503, "deployments.capture")
    assert answer.headers["retry-after"]


def test_many_requests_at_once_are_all_answered_and_recorded(client: Client, spool: Spool) -> None:
    async def burst() -> list[int]:
        calls = [client.acall("POST", PATH, {"records": [{**RECORD, "age": i}]}) for i in range(200)]
        return [answer.status for answer in await asyncio.gather(*calls)]

    assert set(client.loop.run_until_complete(burst())) == {200}
    assert sorted(line["x"][0] for line in lines(spool)) == list(range(200))


def test_the_schema_describes_the_columns(client: Client) -> None:
    document = client.call("GET", "/serve/bank/churn/schema").json()
    record = document["components"]["schemas"]["Record"]
    assert document["openapi"].startswith("3.1")
    assert record["required"] == ["age", "balance"]
    assert record["properties"]["note"] == {"type": ["string", "null"]}
    assert list(document["paths"]) == [PATH]


def test_the_docs_lead_to_the_try_it_page(client: Client) -> None:
    answer = client.call("GET", "/serve/bank/churn/docs", token=None)
    assert (answer.status, answer.headers["location"]) == (302, "/p/bank/deployments/churn/try")
