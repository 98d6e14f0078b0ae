"""A TCP proxy in front of a server's socket that can be slow, deaf or rude: the network between two machines."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST and drops what was under way


class Proxy:
    """Forwards a free port of 127.0.0.1 to the unix socket `target`.

    delay: seconds that every piece waits; deaf: nothing is forwarded in either direction, and nobody is told (what
    was sent meanwhile arrives once it hears again, as TCP's own repetitions would).
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.delay = 0.0
        self.deaf = False
        self._over = False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> int:
        """Break every connection with RST. Returns how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for client, server in pairs:
            # Shut down first: a socket that a thread still reads stays open when it is closed.
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.shutdown(socket.SHUT_RD)
            for end in (client, server):
                end.close()
        return len(pairs)

    def stop(self) -> None:
        """Listen no more, and break what is open."""
        self._over = True
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        while not self._over:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._wait()
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.connect(str(self.target))
        except OSError:
            client.close()
            server.close()
            return
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
        back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
        back.start()
        self._pump(client, server)
        back.join()
        with self._lock:
            self._pairs.discard(pair)
        client.close()
        server.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._wait()
                if self.delay:
                    time.sleep(self.delay)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _wait(self) -> None:
        while self.deaf and not self._over:
            time.sleep(0.02)
