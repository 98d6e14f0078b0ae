"""JSON lines between worker and nanny, over one end of a socket pair."""

from __future__ import annotations

import json
import select
import socket
from typing import Any

MAX_BUFFER = 4 * 1024 * 1024


class Channel:
    """One end of the conversation. `closed` once the other side has gone."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closed = False
        self._buffer = b""
        sock.setblocking(False)

    def fileno(self) -> int:
        """For selectors."""
        return self.sock.fileno()

    def receive(self) -> list[dict[str, Any]]:
        """All whole messages that have arrived. Never blocks; sets `closed` at the end of the stream."""
        while not self.closed and len(self._buffer) < MAX_BUFFER:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.closed = True
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) >= MAX_BUFFER:
            self._buffer = b""  # not a line of ours
        return [message for line in lines if (message := _parse(line)) is not None]

    def send(self, message: dict[str, Any], *, patience: float = 0.0) -> bool:
        """Send one message. With no patience it is dropped when the other side does not read (news that
        will be told again); a half-sent line is always completed. False: dropped, or the other side is gone."""
        data = json.dumps(message).encode() + b"\n"
        started = False
        while data and not self.closed:
            try:
                data = data[self.sock.send(data) :]
                started = True
            except BlockingIOError:
                if not started and patience <= 0:
                    return False
                if not select.select([], [self.sock], [], max(patience, 5.0))[1]:
                    return False
            except OSError:
                self.closed = True
        return not data

    def close(self) -> None:
        """Close this end."""
        self.closed = True
        self.sock.close()


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
