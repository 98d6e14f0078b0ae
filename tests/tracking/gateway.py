"""The gateway's ports as dictionaries, and a way to serve an ASGI application for real."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import uvicorn

from foundation.errors import Forbidden, NotFound, Unauthenticated
from gateway.app import Gateway
from gateway.ports import Caller, Credentials, ProjectRef, TrackingRef

USER = uuid4()


@dataclass
class FakePorts:
    """What the gateway asks of the apps, and what it told them."""

    callers: dict[str, Caller] = field(default_factory=dict)
    projects: dict[str, UUID] = field(default_factory=dict)
    tracking: dict[UUID, TrackingRef] = field(default_factory=dict)
    job_runs: dict[UUID, str] = field(default_factory=dict)
    decided: set[str] = field(default_factory=set)
    guarded: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    registered: set[str] = field(default_factory=set)
    children: dict[str, str] = field(default_factory=dict)
    told: list[tuple[Any, ...]] = field(default_factory=list)
    broken: bool = False
    full: bool = False

    async def authenticate(self, credentials: Credentials) -> Caller:
        caller = self.callers.get(credentials.token or credentials.session_key or "")
        if caller is None:
            raise Unauthenticated("auth.required", "Send a token.")
        return caller

    async def resolve_project(self, caller: Caller, slug: str, *, write: bool) -> ProjectRef:
        project_id = self.projects.get(slug)
        if project_id is None or caller.project_id not in (None, project_id):
            raise NotFound("project.not_found", "There is no such project, or it is not yours.")
        if write and caller.scope != "write":
            raise Forbidden("token.read_only", "This token may only read.")
        return ProjectRef(id=project_id, slug=slug, team_id=uuid4(), editable=caller.scope == "write")

    async def check_storage(self, project: ProjectRef, adding: int) -> None:
        if self.full:
            raise Forbidden("quota.storage", "The team keeps as many bytes as it may.")

    async def tracking_project(self, project: ProjectRef) -> TrackingRef:
        return self.tracking[project.id]

    async def job_run(self, caller: Caller) -> str | None:
        return self.job_runs.get(caller.job_id) if caller.job_id else None

    async def job_decides(self, project: ProjectRef, run_id: str) -> bool:
        return run_id in self.decided

    async def change_model(
        self,
        caller: Caller,
        project: ProjectRef,
        name: str,
        *,
        version: int | None = None,
        new_name: str | None = None,
    ) -> bool:
        if name in self.guarded:
            raise Forbidden("model.protected", f"{name} is in production.")
        self._tell("change", name, version, new_name)
        return name in self.models

    async def adopt_run(self, caller: Caller, project: ProjectRef, run_id: str, **more: Any) -> None:
        self._tell("run", run_id, more)

    async def observe_run(self, caller: Caller, project: ProjectRef, run_id: str, *, status: str) -> None:
        self._tell("status", run_id, status)

    async def adopt_model(self, caller: Caller, project: ProjectRef, name: str, **more: Any) -> None:
        self._tell("model", name, more)

    async def is_registered(self, project: ProjectRef, *, logged_model: str = "", path: str = "") -> bool:
        return logged_model in self.registered or any(part in self.registered for part in path.split("/"))

    async def is_child(self, project: ProjectRef, run_id: str, *, parent: str) -> bool:
        return self.children.get(run_id) == parent

    async def observe_model(self, caller: Caller, project: ProjectRef, name: str) -> None:
        self._tell("changed", name)

    def _tell(self, *news: Any) -> None:
        if self.broken:
            raise RuntimeError("the database is away")
        self.told.append(news)


def wait_until(done: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def ports_for(**projects: UUID) -> FakePorts:
    """Ports with a writer, a reader, a bound token and a browser session."""
    ports = FakePorts(projects=dict(projects))
    ports.callers = {
        "atl_write": Caller(USER, "ada", "write"),
        "atl_read": Caller(USER, "bob", "read"),
        "session": Caller(USER, "eve", "write", is_session=True),
        "atl_bound": Caller(USER, "fox", "write", project_id=next(iter(projects.values()))),
    }
    return ports


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Stands where Django would be."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"django"})


def front(proxy: Any) -> Gateway:
    """The gateway's front with nothing behind it but MLflow."""
    return Gateway(django=nothing, mlflow=proxy)


@contextmanager
def served(app: Any, *, uds: str | None = None) -> Iterator[str]:
    """Serve an ASGI application in a thread; yields its URL (or the socket's path)."""
    listener = socket.socket(socket.AF_UNIX if uds else socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(uds or ("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="on", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.01)
    try:
        yield uds or f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


API = "/api/2.0/mlflow"
RUN = "a" * 32


@dataclass
class Stand:
    """An application that stands in for MLflow: remembers requests, answers what it was told to."""

    seen: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        path = scope["raw_path"].decode()
        self.seen.append(
            {
                "method": scope["method"],
                "path": path,
                "query": scope["query_string"].decode(),
                "headers": headers,
                "body": body,
            }
        )
        status, content = self.answers.get(path, (200, b"{}"))
        kind = b"text/html" if content.startswith(b"<") else b"application/json"
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", kind), (b"set-cookie", b"a=b")],
            }
        )
        await send({"type": "http.response.body", "body": content})


@dataclass
class Setup:
    url: str
    ports: FakePorts
    stand: Stand
    project: UUID

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str = "atl_write",
        headers: dict[str, str] | None = None,
        project: str = "mine",
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, f"/p/{project}/mlflow{path}", data, {**given, **(headers or {})})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        found = json.loads(content) if content.startswith(b"{") else {"raw": content}
        return response.status, found, {k.lower(): v for k, v in response.getheaders()}

    @property
    def last(self) -> dict[str, Any]:
        return self.stand.seen[-1]

    def sent(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.last["body"])
        return content
