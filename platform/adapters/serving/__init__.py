"""Serving engine: build a Bento from a model, run it as a confined process, ask it for predictions.

`get_server()` gives the real thing (BentoML); `adapters.serving.fake.FakeServer` is its twin for tests. The
contract of both is tests/deployments/test_server_contract.py. Building loads the model and therefore lives
in `adapters.serving.bento`, which only sandbox programs import.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Launch:
    """One model process to start.

    bento: folder of the Bento; socket: path of its unix socket (≤ 107 bytes, in a 0700 folder); log: file its
    output is appended to; record: file that holds pid and start time while it runs, so that a later
    generation can sweep it; folder: private working folder, made and removed by the server; memory_bytes:
    limit of its address space, None = unlimited.
    """

    bento: Path
    socket: Path
    log: Path
    record: Path
    folder: Path
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """One look at a model process. ready: it has just answered its golden rows; reason: why not."""

    ready: bool
    reason: str = ""


class ModelProcess(Protocol):
    """A started model process. Methods may be called from any thread."""

    pid: int

    def exit_code(self) -> int | None:
        """None while it runs; negative = the signal that ended it."""

    def health(self, *, timeout: float) -> Health:
        """Ask for readiness, which makes a real prediction. Never raises."""

    def predict(self, rows: list[list[Any]], *, timeout: float) -> dict[str, Any]:
        """Predict rows given in signature order. Raises ServerError when there is no answer."""

    def stop(self, *, grace: float) -> None:
        """SIGTERM (it finishes what it has begun), after `grace` seconds SIGKILL of its whole tree. Returns
        when nothing of it is left; removes socket, record and folder. Idempotent."""


class ModelServer(Protocol):
    """Starts model processes."""

    def start(self, launch: Launch) -> ModelProcess:
        """Start without waiting for readiness. Raises ServerError when it cannot even be started."""

    def sweep(self, records: Path) -> list[int]:
        """Kill the processes (with their trees) whose records an earlier generation left in that folder, and
        remove the records. A pid that meanwhile belongs to another program is left alone. Returns the
        killed pids."""


class ServerError(Exception):
    """A model process did not start or did not answer; the text says why."""


def get_server() -> ModelServer:
    """The real server: BentoML in confined processes."""
    from adapters.serving.process import BentoServer

    return BentoServer()
