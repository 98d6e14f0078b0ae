"""The model process: one Bento behind one private unix socket. Started as `python -m adapters.serving.host`.

It confines itself before any model byte is read, loads the Bento with BentoML, and serves BentoML's own ASGI
application (`Service.to_asgi()`: readiness, health, OpenAPI, metrics, the service's life cycle) with uvicorn.
Only `POST /predict` with {"rows": …}, the form in which the gateway sends, takes a shorter way to the same
service instance: BentoML's request machinery costs more than a small model's prediction (docs/deployments.md).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adapters.serving.confine import confine

logger = logging.getLogger("adapters.serving.host")

INLINE_SECONDS = 0.003
"""Predictions that take longer than this on the golden rows run in a thread, so that the event loop stays free."""


class Host:
    """BentoML's ASGI application with the short way for predictions in front of it.

    service: the generic service of a Bento (adapters/serving/service.py); its ASGI application makes the one
    instance of the service class at start-up.
    """

    def __init__(self, service: Any) -> None:
        self.service = service
        self.app = service.to_asgi()
        self.pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self.scorer: Any = None
        self.inline = False

    def _instance(self) -> Any:
        """The scorer of the service instance that BentoML made. Measures once whether it is quick."""
        if self.scorer is None:
            scorer = self.service.inner.current.scorer
            scorer.golden_answer()
            begin = time.perf_counter()
            scorer.golden_answer()
            self.inline = time.perf_counter() - begin < INLINE_SECONDS
            self.scorer = scorer
            gc.collect()
            gc.freeze()
        return self.scorer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/predict" and scope["method"] == "POST":
            await self._predict(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _predict(self, scope: Any, receive: Any, send: Any) -> None:
        chunks = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunks.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        body = b"".join(chunks)
        status, answer = 200, {}
        try:
            request = json.loads(body)
            rows = request.get("rows") if isinstance(request, dict) else None
            if rows is None or "columns" in request:
                await self._through_bentoml(scope, body, send)
                return
            scorer = self._instance()
            if self.inline and len(rows) <= 64:
                answer = scorer.score(rows)
            else:
                loop = asyncio.get_running_loop()
                answer = await loop.run_in_executor(self.pool, scorer.score, rows)
        except Exception as error:
            logger.exception("the model failed on a request")
            status, answer = 500, {"error": f"{type(error).__name__}: {error}"}
        data = json.dumps(answer, separators=(",", ":")).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    async def _through_bentoml(self, scope: Any, body: bytes, send: Any) -> None:
        sent = False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, receive, send)


def main(argv: list[str] | None = None) -> int:
    """Serve one Bento until SIGTERM. Exit code 0 after a clean stop, 3 when the Bento cannot be loaded."""
    parser = argparse.ArgumentParser(prog="adapters.serving.host")
    parser.add_argument("--bento", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--memory", type=int, default=0, help="address space in bytes, 0 = unlimited")
    parser.add_argument("--parent", type=int, default=0, help="pid that must be our parent; we end with it")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    confine(memory_bytes=options.memory or None, parent=options.parent or None)
    try:
        import bentoml

        host = Host(bentoml.load(str(options.bento)))
    except Exception:
        logger.exception("the Bento could not be loaded")
        return 3
    import uvicorn

    options.socket.unlink(missing_ok=True)
    config = uvicorn.Config(
        host,
        uds=str(options.socket),
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=30,
        backlog=1024,
    )
    logger.info("serving %s, process %d", options.bento.name, os.getpid())
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
