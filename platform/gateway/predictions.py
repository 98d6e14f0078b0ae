"""Predictions: authenticate, check against the signature, ask the model process, record, answer."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import logging
import re
import time
from typing import Any
from urllib.parse import quote

import aiohttp

from foundation.errors import (
    AtelierError,
    Invalid,
    Malformed,
    NotFound,
    TooLarge,
    Unavailable,
)
from foundation.ids import uuid7
from gateway.capture import Spool, encode
from gateway.http import (
    Receive,
    Scope,
    Send,
    check_same_origin,
    declared_length,
    read_body,
    read_credentials,
    request_id,
    send_bytes,
    send_json,
)
from gateway.openapi import describe
from gateway.ports import (
    Authenticate,
    ProjectRef,
    ResolveProject,
    Route,
    RouteDeployment,
)
from gateway.validation import read_rows

logger = logging.getLogger(__name__)

PATH = re.compile(r"/serve/([^/]+)/([^/]+)/(predict|schema|docs)/?")
MAX_BODY = 16 * 1024 * 1024
MAX_ROWS = 10_000
INLINE_BYTES = 64 * 1024
"""Larger bodies are parsed and checked in a thread, so that they do not hold up small ones."""

INLINE_ROWS = 500
"""The records of larger requests are written down in a thread, for the same reason."""

MAX_IN_FLIGHT = 1024
TIMEOUT_SECONDS = 60.0
IDLE_SECONDS = 120.0


class MethodNotAllowed(AtelierError):
    """The path exists, the method does not (405)."""

    status = 405


class _Upstream:
    """Kept-open connections to one model process."""

    def __init__(self, socket: str) -> None:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=socket, limit=64, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, sock_connect=2),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )
        self.used = time.monotonic()
        self.in_flight = 0


class Predictions:
    """The /serve/ part of the gateway; see gateway.app.Part.

    record: keeps every inference before its answer leaves (ports.RecordInference); session_cookie: the name
    of the browser session's cookie.
    """

    def __init__(
        self,
        *,
        authenticate: Authenticate,
        resolve_project: ResolveProject,
        route_deployment: RouteDeployment,
        record: Spool,
        session_cookie: str = "sessionid",
    ) -> None:
        self.authenticate = authenticate
        self.resolve_project = resolve_project
        self.route_deployment = route_deployment
        self.record = record
        self.session_cookie = session_cookie
        self._upstreams: dict[str, _Upstream] = {}
        self._keeper: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Begin the housekeeping task: closes idle connections, hands spool files over for sealing."""
        self._keeper = asyncio.create_task(self._keep())

    async def shutdown(self) -> None:
        """End it, close every connection and hand over what was recorded."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        for upstream in self._upstreams.values():
            await upstream.session.close()
        self._upstreams.clear()
        self.record.rotate(everything=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = PATH.fullmatch(scope["path"])
        if match is None or "\x00" in scope["path"]:
            raise NotFound(
                "serve.not_found", "Under /serve/PROJECT/DEPLOYMENT/ there are predict, schema and docs."
            )
        slug, name, verb = match.groups()
        if verb == "docs":
            where = f"/p/{quote(slug)}/deployments/{quote(name)}/try"
            await send_bytes(send, 302, b"", b"text/plain", [(b"location", where.encode())])
            return
        wanted = "POST" if verb == "predict" else "GET"
        if scope["method"] != wanted:
            raise MethodNotAllowed("request.method", f"Use {wanted} for {verb}.", {"allowed": [wanted]})
        caller = await self.authenticate(read_credentials(scope, self.session_cookie))
        check_same_origin(scope, caller)
        # Predicting leaves a record that monitors read, so it needs more than looking.
        project = await self.resolve_project(caller, slug, write=verb == "predict")
        route = await self.route_deployment(project, name)
        if verb == "schema":
            await send_json(send, 200, describe(route))
            return
        await self._predict(project, route, scope, receive, send)

    async def _predict(
        self, project: ProjectRef, route: Route, scope: Scope, receive: Receive, send: Send
    ) -> None:
        length = declared_length(scope)
        if length is not None and length > MAX_BODY:
            raise TooLarge(
                "request.too_large",
                f"The request body is larger than {MAX_BODY:,} bytes.",
                {"limit": MAX_BODY},
            )
        body = await read_body(receive, MAX_BODY)
        if route.socket is None:
            route = await self.route_deployment(project, route.name, fresh=True)
        if len(body) > INLINE_BYTES:
            rows = await asyncio.to_thread(checked_rows, body, route)
        else:
            rows = checked_rows(body, route)
        begin = time.perf_counter()
        route, answer = await self._ask(project, route, rows)
        milliseconds = round((time.perf_counter() - begin) * 1000, 3)
        predictions, probabilities = answer.get("predictions"), answer.get("probabilities")
        if not all(
            isinstance(part, list) and len(part) == len(rows) for part in (predictions, probabilities or rows)
        ):
            raise Unavailable(
                "deployments.bad_answer",
                f"The model {route.model} gave an answer that does not fit the {len(rows)} records sent.",
            )
        asked = request_id(scope)
        if len(rows) > INLINE_ROWS:
            ids, lines = await asyncio.to_thread(record_lines, rows, answer, milliseconds, asked)
        else:
            ids, lines = record_lines(rows, answer, milliseconds, asked)
        self.record.append(route, lines)
        result: dict[str, Any] = {"predictions": predictions}
        if probabilities is not None:
            result["probabilities"] = probabilities
            result["classes"] = list(route.signature.classes)
        result["inference_ids"] = ids
        result["model"] = route.model
        await send_json(send, 200, result)

    async def _ask(
        self, project: ProjectRef, route: Route, rows: list[list[Any]]
    ) -> tuple[Route, dict[str, Any]]:
        """The model's answer. A connection that cannot be made is tried once more on a fresh route, because a
        revision may just have been switched or restarted. Records that a process has been given are given to no
        other process of the same revision: they may be what ended it."""
        body = json.dumps({"rows": rows}, separators=(",", ":")).encode()
        for attempt in (1, 2):
            try:
                return route, await self._send(route, body)
            except TimeoutError as error:
                raise Unavailable(
                    "deployments.timeout",
                    f"The model {route.model} did not answer within {TIMEOUT_SECONDS:.0f} seconds.",
                ) from error
            except aiohttp.ClientError as error:
                logger.info("model process of %s does not answer (%s)", route.name, error)
                given = not isinstance(error, aiohttp.ClientConnectorError)
            if attempt == 1:
                fresh = await self.route_deployment(project, route.name, fresh=True)
                if given and fresh.revision == route.revision:
                    raise Unavailable(
                        "deployments.lost",
                        f"The process of the model {route.model} ended while it had these records. They were not "
                        "given to another one, since they may be the cause.",
                        retry_after=3,
                    )
                check_ready(fresh)
                if fresh.signature.columns != route.signature.columns:
                    raise Unavailable(
                        "deployments.switched",
                        "The deployment has just changed its model; send the request again.",
                        retry_after=1,
                    )
                route = fresh
        raise Unavailable(
            "deployments.down",
            f"The deployment {route.name} does not answer; it is being restarted.",
            retry_after=3,
        )

    async def _send(self, route: Route, body: bytes) -> dict[str, Any]:
        assert route.socket is not None
        upstream = self._upstreams.get(route.socket)
        if upstream is None:
            upstream = self._upstreams[route.socket] = _Upstream(route.socket)
        if upstream.in_flight >= MAX_IN_FLIGHT:
            raise Unavailable(
                "deployments.busy",
                f"The deployment {route.name} has {MAX_IN_FLIGHT} requests waiting.",
                retry_after=1,
            )
        upstream.used = time.monotonic()
        upstream.in_flight += 1
        try:
            async with upstream.session.post("http://model/predict", data=body) as response:
                data = await response.read()
                status = response.status
        finally:
            upstream.in_flight -= 1
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise Unavailable(
                "deployments.bad_answer", f"The model {route.model} gave an answer that cannot be read."
            ) from error
        if status != 200 or not isinstance(answer, dict):
            reason = str(answer.get("error", "")) if isinstance(answer, dict) else ""
            raise Invalid(
                "predict.model_failed",
                f"The model {route.model} failed on these records: {reason[:500] or 'no reason given'}.",
            )
        return answer

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            try:
                self.record.rotate()
                limit = time.monotonic() - IDLE_SECONDS
                for socket in [s for s, u in self._upstreams.items() if u.used < limit and not u.in_flight]:
                    await self._upstreams.pop(socket).session.close()
            except Exception:
                logger.exception("housekeeping of predictions failed")


def record_lines(
    rows: list[list[Any]], answer: dict[str, Any], milliseconds: float, request: str
) -> tuple[list[str], bytes]:
    """The inference ids of a request and its lines for the spool, one a row."""
    ids = [uuid7() for _ in rows]
    predictions, probabilities = answer["predictions"], answer.get("probabilities")
    stamps: dict[int, str] = {}
    lines: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        moment = ids[index].int >> 80  # the time of an inference is the time in its id, to the millisecond
        stamp = stamps.get(moment) or stamps.setdefault(moment, rfc3339(moment))
        line = {
            "id": str(ids[index]),
            "t": stamp,
            "x": row,
            "y": predictions[index],
            "ms": milliseconds,
            "q": request,
        }
        if probabilities is not None:
            line["p"] = probabilities[index]
        lines.append(line)
    return [line["id"] for line in lines], encode(lines)


def rfc3339(milliseconds: int) -> str:
    """Milliseconds since the epoch as RFC 3339 in UTC."""
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds")


def read_json(body: bytes) -> Any:
    """The parsed body. Raises Malformed "request.malformed"."""
    try:
        return json.loads(body)
    except RecursionError as error:
        raise Malformed("request.malformed", "The request body is nested too deeply.") from error
    except ValueError as error:
        # Python's own sentence about a number of thousands of digits speaks of its settings.
        reason = "a number in it has too many digits" if "int_max_str_digits" in str(error) else str(error)
        raise Malformed("request.malformed", f"The request body is not JSON: {reason}") from error


def checked_rows(body: bytes, route: Route) -> list[list[Any]]:
    """The rows of a request's body in signature order. Raises what read_json, check_ready and read_rows raise."""
    payload = read_json(body)
    check_ready(route)
    return read_rows(payload, route.signature, limit=MAX_ROWS)


def check_ready(route: Route) -> None:
    """Raises Unavailable "deployments.not_ready" with the reason when no revision answers now."""
    if route.socket is not None:
        return
    if route.state == "stopped":
        sentence, wait = f"The deployment {route.name} is stopped; start it to get predictions.", 60
    elif route.state == "failed":
        sentence, wait = f"The deployment {route.name} failed: {route.reason}", 60
    else:
        because = f" ({route.reason})" if route.reason else ""
        sentence, wait = f"The deployment {route.name} is {route.state}{because}; try again shortly.", 3
    raise Unavailable("deployments.not_ready", sentence, {"state": route.state}, retry_after=wait)
