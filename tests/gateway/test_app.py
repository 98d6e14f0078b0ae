"""The front application: request ids, the error shape, routing, and the server's life cycle."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.app import Gateway
from gateway.http import read_credentials

from .conftest import Client, django


def test_what_is_nothing_else_goes_to_django(client: Client) -> None:
    answer = client.call("GET", "/p/bank/deployments")
    assert answer.body == b"django /p/bank/deployments"
    assert answer.headers["x-request-id"]


def test_every_answer_names_its_request_once_and_forbids_guessing_its_type(client: Client) -> None:
    async def verbose(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"X-Request-ID", b"of-django"), (b"X-Content-Type-Options", b"nosniff")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def call() -> list[tuple[bytes, bytes]]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await Gateway(django=verbose)(scope, cast(Any, None), send)
        return list(sent[0]["headers"])

    names = [name.lower() for name, _ in asyncio.run(call())]
    assert sorted(names) == [b"x-content-type-options", b"x-request-id"]
    assert client.call("GET", "/serve/bank").headers["x-content-type-options"] == "nosniff"


def test_a_harmless_request_id_is_kept_and_a_strange_one_replaced(client: Client) -> None:
    assert (
        client.call("GET", "/", headers={"x-request-id": "abcdef-123"}).headers["x-request-id"]
        == "abcdef-123"
    )
    strange = client.call("GET", "/", headers={"x-request-id": "a b\tc;<script>"}).headers["x-request-id"]
    assert len(strange) == 32


def test_an_unexpected_error_is_a_500_without_a_stack_trace() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("secret detail")

    loop = asyncio.new_event_loop()
    answer = Client(Gateway(django=broken), loop).call("GET", "/")
    loop.close()
    assert answer.status == 500
    assert answer.json()["error"]["code"] == "internal"
    assert b"secret" not in answer.body


def test_an_unknown_address_below_serve_is_not_found(client: Client) -> None:
    assert client.call("GET", "/serve/bank").json()["error"]["code"] == "serve.not_found"


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer atl_x", "atl_x"),
        ("bearer  atl_x ", "atl_x"),
        ("Basic dXNlcjphdGxfeA==", "atl_x"),
        ("Digest x", None),
    ],
)
def test_tokens_come_as_bearer_or_basic_password(value: str, token: str | None) -> None:
    scope = {"headers": [(b"authorization", value.encode())]}
    assert read_credentials(scope, "sessionid").token == token


def test_a_session_cookie_is_read_when_there_is_no_token() -> None:
    scope = {"headers": [(b"cookie", b"a=b; sessionid=abc; c=d")]}
    assert read_credentials(scope, "sessionid").session_key == "abc"


class Recorder:
    """A part that remembers its life."""

    def __init__(self, log: list[str], *, fails: bool = False) -> None:
        self.log = log
        self.fails = fails

    async def startup(self) -> None:
        if self.fails:
            raise RuntimeError("no socket")
        self.log.append("up")

    async def shutdown(self) -> None:
        self.log.append("down")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not called here")


def _live(part: Recorder) -> list[str]:
    asked = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": next(asked)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(Gateway(django=django, predictions=part)({"type": "lifespan"}, receive, send))
    return sent


def test_parts_start_and_stop_with_the_server() -> None:
    log: list[str] = []
    assert _live(Recorder(log)) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert log == ["up", "down"]


def test_a_part_that_cannot_start_fails_the_start() -> None:
    assert _live(Recorder([], fails=True)) == ["lifespan.startup.failed"]
