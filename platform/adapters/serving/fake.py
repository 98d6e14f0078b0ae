"""The fake server: model processes that are threads in this process, with failures on demand.

A fake model adds up the numbers of each row. It listens on the same kind of socket and answers the same
paths, so the gateway can talk to it too.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from adapters.serving import Health, Launch, ServerError
from adapters.serving.process import ask


class _Listener(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        sums = [sum(v for v in row if isinstance(v, int | float)) for row in body["rows"]]
        data = json.dumps({"predictions": sums}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class FakeProcess:
    """See adapters.serving.ModelProcess. crash() ends it as SIGKILL would."""

    _pids = iter(range(900_000, 1_000_000))

    def __init__(self, launch: Launch, *, healthy: bool) -> None:
        self.launch = launch
        self.pid = next(self._pids)
        self.healthy = healthy
        self._code: int | None = None
        self._listener = _Listener(str(launch.socket), _Handler)
        threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._code

    def health(self, *, timeout: float) -> Health:
        """As told."""
        if self._code is not None:
            return Health(False, "the model process ended")
        return Health(True) if self.healthy else Health(False, "the fake was told to be unhealthy")

    def predict(self, rows: list[list[Any]], *, timeout: float) -> dict[str, Any]:
        """The sums of the rows."""
        if self._code is not None:
            raise ServerError("no answer from the model process")
        status, data = ask(
            self.launch.socket, "POST", "/predict", json.dumps({"rows": rows}).encode(), timeout=timeout
        )
        return dict(json.loads(data)) if status == 200 else {}

    def crash(self) -> None:
        """End at once, leaving the record behind as a killed process does."""
        self._end(-9)

    def stop(self, *, grace: float) -> None:
        """End and clean up."""
        self._end(0)
        self.launch.record.unlink(missing_ok=True)

    def _end(self, code: int) -> None:
        if self._code is None:
            self._code = code
            self._listener.shutdown()
            self._listener.server_close()
            self.launch.socket.unlink(missing_ok=True)


class FakeServer:
    """See adapters.serving.ModelServer. `healthy` is given to each process started; `started` keeps them."""

    def __init__(self) -> None:
        self.healthy = True
        self.refuse: str | None = None
        self.started: list[FakeProcess] = []

    def start(self, launch: Launch) -> FakeProcess:
        """Start a thread that listens on the socket."""
        if self.refuse:
            raise ServerError(self.refuse)
        for folder in (launch.socket.parent, launch.record.parent):
            folder.mkdir(parents=True, exist_ok=True)
        launch.socket.unlink(missing_ok=True)
        process = FakeProcess(launch, healthy=self.healthy)
        launch.record.write_text(json.dumps({"pid": process.pid}))
        self.started.append(process)
        return process

    def sweep(self, records: Path) -> list[int]:
        """Forget every record, and end the fakes they name."""
        pids = []
        for path in records.glob("*.json"):
            with contextlib.suppress(ValueError):
                pids.append(int(json.loads(path.read_text())["pid"]))
            path.unlink(missing_ok=True)
        for process in self.started:
            if process.pid in pids:
                process.crash()
        return pids
