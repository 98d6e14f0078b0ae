"""The proxy itself: who, where, which route, then pass on and back without keeping anything in memory."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, quote
from uuid import UUID

import aiohttp

from foundation.errors import AtelierError, Forbidden, TooLarge
from gateway.http import (
    ClientGone,
    Receive,
    Scope,
    Send,
    check_same_origin,
    declared_length,
    header,
    read_body,
    read_credentials,
    send_bytes,
)
from gateway.mlflow import bodies, ownership, registry_rules
from gateway.mlflow.errors import UnknownRoute, clean, send_mlflow_error
from gateway.mlflow.news import News
from gateway.mlflow.routes import Allowed, Refused, find
from gateway.mlflow.rules import Call
from gateway.mlflow.upstream import Answer, Upstream, unavailable
from gateway.ports import Caller, Ports, ProjectRef, TrackingRef

logger = logging.getLogger(__name__)

PATH = re.compile(r"/p/([^/]+)/mlflow(/.*)?", re.DOTALL)
JOBS_ONLY = "log"  # this treatment is for the tokens of jobs: what others log is passed on unread
# Two clients that set the same tag at once meet in MLflow, which fails one of them: asked again, it overwrites.
LOGGING = re.compile(r"/api/2\.0/mlflow/runs/(set-tag|log-[a-z]+)")
LENGTH = re.compile(r"[0-9]{1,18}")
COLLISION = b"UniqueViolation"
WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"
ARTIFACT_LIMIT = 20 * 1024**3
_SAFE = "/:@!$&'()*+,;=~-._"
# What of the client's headers MLflow may see, and what of its answer's headers the client may see.
_FORWARDED = {
    b"content-type": "Content-Type",
    b"accept": "Accept",
    b"user-agent": "User-Agent",
    b"range": "Range",
    b"if-none-match": "If-None-Match",
    b"if-modified-since": "If-Modified-Since",
}
_RETURNED = (
    "Content-Type", "Content-Length", "Content-Disposition", "Content-Range", "Accept-Ranges", "ETag",
    "Last-Modified", "X-Content-Type-Options", "Allow",
)  # fmt: skip
_ARTIFACT_HEADERS = [(b"content-security-policy", b"sandbox"), (b"cache-control", b"private, no-cache")]


class MlflowProxy:
    """The /p/<project>/mlflow part of the gateway; see gateway.app.Part."""

    def __init__(
        self,
        ports: Ports,
        socket_path: str,
        *,
        session_cookie: str = "sessionid",
        artifact_limit: int = ARTIFACT_LIMIT,
    ) -> None:
        self.ports = ports
        self.upstream = Upstream(str(socket_path))
        self.news = News()
        self.session_cookie = session_cookie
        self.artifact_limit = artifact_limit
        self._projects: dict[UUID, TrackingRef] = {}

    async def startup(self) -> None:
        """Nothing to prepare: connections are made on first use."""

    async def shutdown(self) -> None:
        """Close the connections to MLflow, once the studio knows what clients did."""
        await self.news.close()
        await self.upstream.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Any) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._answer(scope, receive, watched)
        except AtelierError as error:
            if started:
                raise
            await send_mlflow_error(watched, error)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = PATH.fullmatch(scope["path"])
        if match is None:
            raise UnknownRoute("tracking.no_route", "There is no such route.")
        slug, path = match.group(1), match.group(2) or "/"
        if path == "/" and scope["method"] == "GET" and "text/html" in header(scope, b"accept"):
            # The client prints a link to MLflow's own pages; whoever follows it finds the studio's.
            where = f"/p/{quote(slug, safe='')}/experiments/".encode()
            await send_bytes(send, 303, b"", b"text/plain", [(b"location", where)])
            return
        caller = await self.ports.authenticate(read_credentials(scope, self.session_cookie))
        method = str(scope["method"])
        rule = find(method, path)
        write = isinstance(rule, Allowed) and rule.access == "write"
        project = await self.ports.resolve_project(caller, slug, write=write)
        if isinstance(rule, Refused):
            raise Forbidden("tracking.refused", rule.reason)
        if rule is None:
            raise UnknownRoute("tracking.no_route", f"There is no route {method} {path[:200]} here.")
        check_same_origin(scope, caller)
        tracking = await self._tracking(project)
        headers = self._headers(scope, tracking)
        call = self._call(scope, caller, project, tracking, path, headers)
        if rule.special == "artifact":
            artifact = ownership.artifact_of(path, tracking.workspace, write=write)
            if write:
                await ownership.check_may_write(call, artifact)
                if caller.job_id is None:  # a job's work was accepted as a whole
                    length = header(scope, b"content-length")
                    await self.ports.check_storage(project, int(length) if LENGTH.fullmatch(length) else 0)
        elif rule.special == "artifacts":
            for name, value in parse_qsl(call.query):
                if name == "path":
                    ownership.check_artifact(value, tracking.workspace)
        elif rule.special and (rule.special != JOBS_ONLY or caller.job_id is not None):
            if method not in ("GET", "HEAD"):
                call.fields = bodies.read(await read_body(receive, bodies.LIMIT))
            await self._send(send, await registry_rules.ALL[rule.special](call))
            return
        await self._stream(scope, receive, send, path, headers, artifact=rule.special == "artifact")

    async def _tracking(self, project: ProjectRef) -> TrackingRef:
        found = self._projects.get(project.id)
        if found is None:
            found = self._projects[project.id] = await self.ports.tracking_project(project)
        return found

    def _call(
        self,
        scope: Scope,
        caller: Caller,
        project: ProjectRef,
        tracking: TrackingRef,
        path: str,
        headers: dict[str, str],
    ) -> Call:
        return Call(
            upstream=self.upstream,
            ports=self.ports,
            news=self.news,
            caller=caller,
            project=project,
            tracking=tracking,
            method=str(scope["method"]),
            path=quote(path, safe=_SAFE),
            query=scope.get("query_string", b"").decode("latin-1"),
            headers=headers,
            site=f"{scope.get('scheme', 'http')}://{header(scope, b'host')}",
        )

    @staticmethod
    def _headers(scope: Scope, tracking: TrackingRef) -> dict[str, str]:
        """Only the listed headers of the client, and the project's own workspace."""
        headers = {
            _FORWARDED[name]: value.decode("latin-1")
            for name, value in scope.get("headers", ())
            if name in _FORWARDED
        }
        headers[WORKSPACE_HEADER] = tracking.workspace
        return headers

    async def _stream(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        path: str,
        headers: dict[str, str],
        *,
        artifact: bool,
    ) -> None:
        method, query = str(scope["method"]), scope.get("query_string", b"").decode("latin-1")
        target = quote(path, safe=_SAFE) + (f"?{query}" if query else "")
        upload = _Upload(receive, self.artifact_limit if artifact else bodies.LIMIT)
        body = None if method in ("GET", "HEAD") else await upload.begin(declared_length(scope), headers)
        try:
            async with self.upstream.open(method, target, headers, body, artifact=artifact) as response:
                if response.status >= 400:
                    answer = Answer(response.status, "application/json", await response.read())
                    if COLLISION in answer.body and LOGGING.match(path) and isinstance(body, bytes):
                        answer = await self.upstream.ask(method, target, headers, body)
                    await self._send(send, answer)
                    return
                await self._relay(send, response, artifact=artifact)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if upload.failure is not None:
                raise upload.failure from error
            raise unavailable() from error

    @staticmethod
    async def _relay(send: Send, response: aiohttp.ClientResponse, *, artifact: bool) -> None:
        headers = [
            (name.lower().encode(), response.headers[name].encode("latin-1"))
            for name in _RETURNED
            if name in response.headers
        ]
        if artifact:
            headers += _ARTIFACT_HEADERS
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        async for chunk in response.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    @staticmethod
    async def _send(send: Send, answer: Answer) -> None:
        body = clean(answer.status, answer.body) if answer.status >= 400 else answer.body
        status = 404 if answer.status == 405 else answer.status
        headers = [(b"retry-after", b"3")] if status == 503 else []
        await send_bytes(send, status, body, b"application/json", headers)


class _Upload:
    """The request's body on its way to MLflow: counted, never kept."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive = receive
        self.limit = limit
        self.size = 0
        self.failure: Exception | None = None

    async def begin(self, length: int | None, headers: dict[str, str]) -> bytes | AsyncIterator[bytes]:
        """The whole body when it has arrived at once (most do), else a stream of it."""
        if length is not None and length > self.limit:
            raise self._too_large()
        first, more = await self._next()
        if not more:
            return first
        if length is not None:
            headers["Content-Length"] = str(length)
        return self._rest(first)

    async def _rest(self, first: bytes) -> AsyncIterator[bytes]:
        try:
            yield first
            more = True
            while more:
                chunk, more = await self._next()
                if chunk:
                    yield chunk
        except (ClientGone, TooLarge) as error:
            self.failure = error
            raise ConnectionAbortedError from error

    async def _next(self) -> tuple[bytes, bool]:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        self.size += len(chunk)
        if self.size > self.limit:
            raise self._too_large()
        return chunk, bool(message.get("more_body", False))

    def _too_large(self) -> TooLarge:
        return TooLarge(
            "tracking.too_large", f"The body is larger than the {self.limit:,} bytes allowed here."
        )
