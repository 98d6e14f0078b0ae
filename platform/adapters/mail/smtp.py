"""E-mail by SMTP, with the standard library."""

from __future__ import annotations

import hashlib
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from email.utils import format_datetime, parseaddr
from urllib.parse import parse_qs, unquote, urlsplit

from adapters.mail import Letter
from foundation.errors import Invalid, Unavailable

TIMEOUT = 20.0  # seconds for each answer of the server
PORTS = {"smtp": 587, "smtps": 465}


class SmtpPost:
    """smtp://user:password@host:587 (STARTTLS) or smtps://… (TLS from the first byte).

    ?starttls=always, try or never; without it: always where a password is sent, else if the server offers it.
    """

    def __init__(self, url: str, sender: str, *, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.port = parts.port or PORTS[parts.scheme]
        self.wrapped = parts.scheme == "smtps"
        self._login = (unquote(parts.username or ""), unquote(parts.password or ""))
        usual = "always" if self._login[0] else "try"
        self.starttls = parse_qs(parts.query).get("starttls", [usual])[0]
        self.sender = sender
        self.timeout = timeout

    def check(self) -> str:
        """Connect and sign in."""
        with self._connected() as server:
            return "TLS" if isinstance(server.sock, ssl.SSLSocket) else "without encryption"

    def open(self, letter: Letter) -> AbstractContextManager[_Transfer]:
        """See Post.open."""
        return self._open(letter)

    @contextmanager
    def _open(self, letter: Letter) -> Iterator[_Transfer]:
        with self._connected() as server:
            try:
                server.ehlo_or_helo_if_needed()
                _accepted(server.mail(parseaddr(self.sender)[1]), "the sender")
                _accepted(server.rcpt(letter.to), "the recipient")
            except (OSError, smtplib.SMTPException) as error:
                raise _unavailable(error) from error
            yield _Transfer(server, as_bytes(letter, sender=self.sender))

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        try:
            server = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            raise _unavailable(error) from error
        try:
            yield server
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()

    def _connect(self) -> smtplib.SMTP:
        safe = ssl.create_default_context()
        server: smtplib.SMTP
        if self.wrapped:
            server = smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout, context=safe)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=self.timeout)
        try:
            server.ehlo()
            if not self.wrapped and self.starttls != "never":
                if server.has_extn("starttls"):
                    server.starttls(context=safe)
                    server.ehlo()
                elif self.starttls == "always":
                    raise smtplib.SMTPNotSupportedError("it offers no STARTTLS, so that no password is sent")
            if self._login[0]:
                server.login(*self._login)
        except BaseException:
            server.close()
            raise
        return server


class _Transfer:
    """See Transfer."""

    def __init__(self, server: smtplib.SMTP, data: bytes) -> None:
        self._server = server
        self._data = data

    def hand_over(self) -> None:
        """The DATA of the conversation: only its answer says whether the server has taken it."""
        try:
            answer = self._server.data(self._data)
        except smtplib.SMTPDataError as error:  # DATA itself was refused: nothing has been sent
            answer = (error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b"")
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable(
                "mail.uncertain",
                f"The mail server was silent after the text was sent: {_words(error)}.",
            ) from error
        _accepted(answer, "the text")


def as_bytes(letter: Letter, *, sender: str) -> bytes:
    """The letter as it goes over the wire. The same key makes the same Message-ID."""
    message = EmailMessage(policy=POLICY)
    domain = parseaddr(sender)[1].rpartition("@")[2] or socket.getfqdn()
    message["From"] = sender
    message["To"] = letter.to
    message["Subject"] = " ".join(letter.subject.split())
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{hashlib.sha256(letter.key.encode()).hexdigest()[:40]}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message.as_bytes()


def _accepted(answer: tuple[int, bytes], what: str) -> None:
    code, words = answer
    if code < 400:
        return
    said = f"{code} {words.decode(errors='replace').strip()}"[:300]
    if code < 500:
        raise Unavailable("mail.later", f"The mail server does not take {what} now: {said}.")
    raise Invalid("mail.refused", f"The mail server refuses {what}: {said}.")


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable("mail.unavailable", f"The mail server cannot be used: {_words(error)}.")


def _words(error: Exception) -> str:
    """What went wrong, without anything that we sent."""
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        return f"{error.smtp_code} {text}"[:300].rstrip(".")
    return (str(error) or type(error).__name__)[:300].rstrip(".")
