"""The ASGI application in front of everything: gives each request an id, picks its route, and turns errors
into the one error shape. What is not a proxy, a prediction or an upload goes to Django untouched.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Protocol

from foundation.errors import AtelierError
from foundation.ids import uuid7
from gateway.http import (
    AsgiApp,
    ClientGone,
    Message,
    Receive,
    Scope,
    Send,
    accept_request_id,
    header,
    send_error,
)

logger = logging.getLogger(__name__)

MLFLOW_PATH = re.compile(r"/p/([^/]+)/mlflow(/.*)?", re.DOTALL)
SERVE_PREFIX = "/serve/"
NOSNIFF = (b"x-content-type-options", b"nosniff")


class Part(Protocol):
    """One route family of the gateway: an ASGI application that may hold resources while the server runs."""

    async def startup(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class UploadPart(Part, Protocol):
    """The upload stage also decides which requests are uploads; it calls Django itself when it has the file."""

    def matches(self, scope: Scope) -> bool: ...


class Gateway:
    """The front application. mlflow, predictions and uploads may be None: their paths then go to Django,
    which answers 404 in its own way."""

    def __init__(
        self,
        *,
        django: AsgiApp,
        mlflow: Part | None = None,
        predictions: Part | None = None,
        uploads: UploadPart | None = None,
    ) -> None:
        self.django = django
        self.mlflow = mlflow
        self.predictions = predictions
        self.uploads = uploads
        self.parts: Sequence[Part] = [part for part in (mlflow, predictions, uploads) if part is not None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    def _route(self, scope: Scope) -> AsgiApp:
        path: str = scope["path"]
        if self.predictions is not None and path.startswith(SERVE_PREFIX):
            return self.predictions
        if self.mlflow is not None and path.startswith("/p/") and MLFLOW_PATH.fullmatch(path):
            return self.mlflow
        if self.uploads is not None and self.uploads.matches(scope):
            return self.uploads
        return self.django

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = accept_request_id(header(scope, b"x-request-id"), lambda: uuid7().hex)
        scope["atelier.request_id"] = request_id
        stamp = (b"x-request-id", request_id.encode())
        started = False

        async def stamped(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [
                    (name, value)
                    for name, value in message.get("headers", ())
                    if name.lower() not in (b"x-request-id", b"x-content-type-options")
                ]
                message = {**message, "headers": [*headers, stamp, NOSNIFF]}
            await send(message)

        try:
            await self._route(scope)(scope, receive, stamped)
        except ClientGone:
            logger.debug("the client left before its request was complete: %s", scope["path"])
        except AtelierError as error:
            if started:
                raise
            await send_error(stamped, scope, error)
        except Exception:
            logger.exception("unexpected error in request %s %s", request_id, scope["path"])
            if started:
                raise
            await send_error(
                stamped,
                scope,
                AtelierError(
                    "internal", "Something went wrong on our side; the reference id finds it in the logs."
                ),
            )

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    for part in self.parts:
                        await part.startup()
                except Exception as error:
                    logger.exception("the gateway could not start")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                for part in reversed(self.parts):
                    try:
                        await part.shutdown()
                    except Exception:
                        logger.exception("a part of the gateway did not stop cleanly")
                await send({"type": "lifespan.shutdown.complete"})
                return
