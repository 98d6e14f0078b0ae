"""What /readyz says of a process that hangs."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from atelier import health


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A server's socket under the name `tracking`; nobody answers there yet."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        path = str(Path(folder) / "t.sock")
        server.bind(path)
        server.listen(1)
        config = SimpleNamespace(sockets={"tracking": path})
        monkeypatch.setattr(health, "settings", SimpleNamespace(CONFIG=config))
        yield server


def test_a_process_that_answers_is_ready(listener: socket.socket) -> None:
    def answer() -> None:
        client, _ = listener.accept()
        with client:
            assert client.recv(100).startswith(b"GET /health ")
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\nOK")

    thread = threading.Thread(target=answer)
    thread.start()
    assert health._socket("tracking") == "ready"
    thread.join()


def test_a_process_that_hangs_is_not(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ANSWER_WITHIN", 0.05)
    with pytest.raises(TimeoutError):  # component_states() calls it unreachable
        health._socket("tracking")
