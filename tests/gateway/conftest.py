"""A gateway over fake ports, called as ASGI without a server; model processes are fakes on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.serving import Launch
from adapters.serving.fake import FakeProcess, FakeServer
from foundation.errors import Forbidden, NotFound, Unauthenticated
from foundation.ids import uuid7
from gateway.app import Gateway
from gateway.capture import Spool
from gateway.ports import Caller, Column, Credentials, ProjectRef, Route, Signature
from gateway.predictions import Predictions

PROJECT = ProjectRef(id=uuid7(), slug="bank", team_id=uuid7(), editable=True)
SIGNATURE = Signature(
    columns=(Column("age", "integer"), Column("balance", "number"), Column("note", "string", required=False)),
    example={"age": 42, "balance": 1.5, "note": "x"},
)


@dataclass
class Answer:
    """What the gateway answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class World:
    """Fake ports and what they know."""

    route: Route
    callers: dict[str, Caller] = field(default_factory=dict)
    fresh_routes: list[Route] = field(default_factory=list)
    asked: int = 0

    async def authenticate(self, credentials: Credentials) -> Caller:
        caller = self.callers.get(credentials.token or credentials.session_key or "")
        if caller is None:
            raise Unauthenticated("auth.required", "Sign in.")
        return caller

    async def resolve_project(self, caller: Caller, slug: str, *, write: bool) -> ProjectRef:
        if slug != PROJECT.slug or caller.username == "stranger":
            raise NotFound("project.not_found", "There is no such project.")
        if write and caller.scope == "read":
            raise Forbidden("token.read_only", "Read only.")
        return PROJECT

    async def route_deployment(self, project: ProjectRef, name: str, *, fresh: bool = False) -> Route:
        self.asked += 1
        if name != self.route.name:
            raise NotFound("deployment.not_found", "There is no such deployment.")
        if fresh and self.fresh_routes:
            self.route = self.fresh_routes.pop(0)
        return self.route


@dataclass
class Client:
    """Calls the gateway in an event loop that lives as long as the test."""

    gateway: Gateway
    loop: asyncio.AbstractEventLoop

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Any = b"",
        *,
        token: str | None = "good",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        return self.loop.run_until_complete(self.acall(method, path, body, token=token, headers=headers))

    async def acall(
        self,
        method: str,
        path: str,
        body: bytes | Any = b"",
        *,
        token: str | None = "good",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"host": "studio.example", **(headers or {})}
        if token:
            sent["authorization"] = f"Bearer {token}"
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(k.lower().encode(), v.encode()) for k, v in sent.items()],
        }
        messages: list[Any] = []
        chunks = [data[i : i + 1000] for i in range(0, len(data), 1000)] or [b""]

        async def receive() -> Any:
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.gateway(scope, receive, send)
        start = messages[0]
        return Answer(
            start["status"],
            {k.decode(): v.decode() for k, v in start["headers"]},
            b"".join(m.get("body", b"") for m in messages[1:]),
        )


async def django(scope: Any, receive: Any, send: Any) -> None:
    """Stands for Django: answers with the path."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"django " + scope["path"].encode()})


@pytest.fixture
def start_model(tmp_path: Path) -> Iterator[Callable[[str], FakeProcess]]:
    server = FakeServer()

    def start(name: str) -> FakeProcess:
        folder = tmp_path / "models"
        return server.start(
            Launch(
                folder / name,
                folder / f"{name}.sock",
                folder / "log",
                folder / f"{name}.json",
                folder / f"{name}.run",
            )
        )

    yield start
    for process in server.started:
        process.stop(grace=1)


@pytest.fixture
def world(start_model: Callable[[str], FakeProcess]) -> World:
    model = start_model("blue")
    route = Route(
        deployment_id=uuid7(),
        name="churn",
        project_id=PROJECT.id,
        project_slug="bank",
        revision=1,
        model="churn/1",
        socket=str(model.launch.socket),
        signature=SIGNATURE,
        state="ready",
    )
    user: UUID = uuid7()
    return World(
        route,
        {
            "good": Caller(user, "ada", "write"),
            "reader": Caller(user, "ada", "read"),
            "stranger": Caller(uuid7(), "stranger", "write"),
            "session": Caller(user, "ada", "write", is_session=True),
        },
    )


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def client(world: World, spool: Spool) -> Iterator[Client]:
    loop = asyncio.new_event_loop()
    predictions = Predictions(
        authenticate=world.authenticate,
        resolve_project=world.resolve_project,
        route_deployment=world.route_deployment,
        record=spool,
    )
    loop.run_until_complete(predictions.startup())
    yield Client(Gateway(django=django, predictions=predictions), loop)
    loop.run_until_complete(predictions.shutdown())
    loop.close()


def stopped(route: Route, state: str, reason: str = "") -> Route:
    """The same route while no revision answers."""
    return replace(route, socket=None, state=state, reason=reason)
