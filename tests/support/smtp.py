"""A real SMTP server on this machine, small enough to be told how to fail.

with SmtpSink() as sink:
    ...                     # smtp://127.0.0.1:{sink.port}
    sink.letters            # parsed messages, in the order in which they came
"""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Self


@dataclass
class SmtpSink:
    """answers: replies in place of the usual ones, by verb: {"RCPT": "450 busy"}. cut_at: hang up instead of answering
    that verb; "." stands for the end of the text, which has then been kept. login: the user and password that are
    asked for. certificate: PEM file with key and certificate; then STARTTLS is offered."""

    answers: dict[str, str] = field(default_factory=dict)
    cut_at: str = ""
    login: tuple[str, str] | None = None
    certificate: Path | None = None
    letters: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        sink = self

        class Handler(_Conversation):
            asked = sink

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *args: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        """The address for ATELIER_SMTP_URL, without a login."""
        return f"smtp://127.0.0.1:{self.port}"


class _Conversation(socketserver.StreamRequestHandler):
    asked: SmtpSink

    def handle(self) -> None:
        self.sender = self.recipient = ""
        self.known = self.asked.login is None
        self.secure = False
        self._say("220 sink ready")
        while True:
            line = self.rfile.readline(2000)
            if not line:
                return
            verb = line[:4].decode("ascii", "replace").upper().strip()
            self.asked.verbs.append(verb)
            if verb == self.asked.cut_at:
                return
            if verb in self.asked.answers:
                self._say(self.asked.answers[verb])
            elif not self._answer(verb, line.decode("utf-8", "replace").strip()):
                return

    def _answer(self, verb: str, line: str) -> bool:
        if verb == "EHLO":
            offers = ["250-sink", "250-SIZE 1000000"]
            offers += ["250-AUTH PLAIN"] if self.asked.login else []
            offers += ["250-STARTTLS"] if self.asked.certificate and not self.secure else []
            self._say("\r\n".join(offers) + "\r\n250 HELP")
        elif verb == "STAR":
            self._say("220 go ahead")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(str(self.asked.certificate))
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", buffering=0)
            self.secure = True
        elif verb == "AUTH":
            _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
            self.known = (user, password) == self.asked.login
            self._say("235 welcome" if self.known else "535 wrong password")
        elif verb == "MAIL":
            self.sender = line
            self._say("250 fine" if self.known else "530 sign in first")
        elif verb == "RCPT":
            self.recipient = line
            self._say("250 fine")
        elif verb == "DATA":
            return self._data()
        elif verb == "QUIT":
            self._say("221 bye")
            return False
        else:
            self._say("250 fine")
        return True

    def _data(self) -> bool:
        self._say("354 the text")
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        if "." in self.asked.answers:
            self._say(self.asked.answers["."])
            return True
        message: Any = message_from_bytes(b"".join(lines), policy=default)
        self.asked.letters.append(message)
        self.asked.envelopes.append((self.sender, self.recipient))
        self.asked.encrypted.append(self.secure)
        if self.asked.cut_at == ".":
            return False
        self._say("250 taken")
        return True

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")
