"""The first process of a job's own world: it collects what the job leaves behind and carries its requests to the
studio's API, the only address that exists inside.

It stays outside the job's network and files. When it goes, the kernel ends every process of the job: no daemon
outlives it. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import socket
from contextlib import suppress
from typing import Any, NoReturn

PIECE = 1 << 16
HELD = 1 << 20
CONNECTIONS = 256
PATIENCE = 1.0


class _Side:
    """One end of a connection that is carried, with what waits to be written to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.held = bytearray()
        self.ended = False  # nothing more will be read from it
        self.closed = False  # nothing more will be written to it
        self.connecting = False
        self.gone = False
        self.other: _Side = self


class Carrier:
    """Accepts connections from inside and carries their bytes to one address outside, both ways."""

    def __init__(
        self, listener: socket.socket, target: tuple[str, int], selector: selectors.BaseSelector
    ) -> None:
        self.listener = listener
        self.target = target
        self.selector = selector
        self.pairs = 0
        self.address: tuple[int, Any] | None = None
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self)

    def accept(self) -> None:
        """Take one connection; where the API does not answer, it is refused by being closed."""
        try:
            inner, _ = self.listener.accept()
        except OSError:
            return
        if self.pairs >= CONNECTIONS:
            inner.close()
            return
        try:
            outer = self._connect()
        except OSError:
            self.address = None
            inner.close()
            return
        inner.setblocking(False)
        a, b = _Side(inner), _Side(outer)
        a.other, b.other = b, a
        b.connecting = True
        self.pairs += 1
        self._watch(a)
        self._watch(b)

    def _connect(self) -> socket.socket:
        if self.address is None:
            host, port = self.target
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self.address = (found[0], found[4])
        family, place = self.address
        outer = socket.socket(family, socket.SOCK_STREAM)
        outer.setblocking(False)
        with suppress(BlockingIOError):
            outer.connect(place)
        return outer

    def serve(self, side: _Side, events: int) -> None:
        """Something can be read from or written to one side."""
        if side.gone:
            return
        try:
            if events & selectors.EVENT_WRITE:
                self._write(side)
            if events & selectors.EVENT_READ:
                self._read(side)
        except OSError:
            self._drop(side)
            return
        if all(one.ended and not one.held for one in (side, side.other)):
            self._drop(side)
            return
        self._watch(side)
        self._watch(side.other)

    def _write(self, side: _Side) -> None:
        if side.connecting:
            side.connecting = False
            error = side.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
        if side.held:
            with suppress(BlockingIOError):
                del side.held[: side.sock.send(side.held)]
        if not side.held and side.other.ended and not side.closed:
            side.closed = True
            side.sock.shutdown(socket.SHUT_WR)

    def _read(self, side: _Side) -> None:
        with suppress(BlockingIOError):
            data = side.sock.recv(PIECE)
            if data:
                side.other.held += data
            else:
                side.ended = True

    def _watch(self, side: _Side) -> None:
        wanted = 0
        if not side.ended and len(side.other.held) < HELD:
            wanted |= selectors.EVENT_READ
        if side.connecting or side.held or (side.other.ended and not side.closed):
            wanted |= selectors.EVENT_WRITE
        known = self.selector.get_map().get(side.sock)
        if known is None:
            if wanted:
                self.selector.register(side.sock, wanted, (self, side))
        elif not wanted:
            self.selector.unregister(side.sock)
        elif known.events != wanted:
            self.selector.modify(side.sock, wanted, (self, side))

    def _drop(self, side: _Side) -> None:
        for one in (side, side.other):
            one.gone = True
            with suppress(KeyError, ValueError):
                self.selector.unregister(one.sock)
            one.sock.close()
        self.pairs -= 1


def be_first(*, life: int, meeting: socket.socket, target: tuple[str, int] | None) -> NoReturn:
    """Live until `life`, a pipe whose other end the nanny holds, is closed; never returns.

    meeting: where the job hands over the socket that listens inside; target: where its connections go.
    """
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # not dumpable
        _live(life, meeting, target)
        code = 0
    finally:
        os._exit(code)


def _live(life: int, meeting: socket.socket, target: tuple[str, int] | None) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        selector.register(life, selectors.EVENT_READ)
        selector.register(reading, selectors.EVENT_READ)
        if target is not None:
            selector.register(meeting, selectors.EVENT_READ)
        while True:
            for key, events in selector.select(PATIENCE):
                if key.fileobj == life:
                    return
                if key.fileobj == reading:
                    with suppress(BlockingIOError):
                        os.read(reading, PIECE)
                elif key.fileobj is meeting:
                    selector.unregister(meeting)
                    _, descriptors, _, _ = socket.recv_fds(meeting, 1, 1)
                    if descriptors and target is not None:
                        Carrier(socket.socket(fileno=descriptors[0]), target, selector)
                    meeting.close()
                elif isinstance(key.data, Carrier):
                    key.data.accept()
                else:
                    carrier, side = key.data
                    carrier.serve(side, events)
            _collect()


def _collect() -> None:
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
