"""Sending e-mail: a Protocol, SMTP, and a fake for tests.

`get_post()` answers None where no server is configured (ATELIER_SMTP_URL). A letter is handed over in two steps,
so that the caller can note between them that from here on it may have arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Letter", "Post", "Transfer", "get_post", "use_post"]


@dataclass(frozen=True)
class Letter:
    """A plain text for one person. key: makes the Message-ID, by which receivers know a repetition."""

    to: str
    subject: str
    text: str
    key: str


class Transfer(Protocol):
    """An open conversation with the server, which has accepted the recipient."""

    def hand_over(self) -> None:
        """Give the text away. Raises Unavailable "mail.uncertain" when the connection broke meanwhile, so that
        nobody knows whether it arrived, "mail.later" when the server wants it later, Invalid "mail.refused"."""


class Post(Protocol):
    """A server that takes letters."""

    def open(self, letter: Letter) -> AbstractContextManager[Transfer]:
        """Connect, say who we are and who it is for. Raises Unavailable "mail.unavailable" when the server cannot be
        used, "mail.later" when it wants to be asked later, Invalid "mail.refused" for an address it never takes."""

    def check(self) -> str:
        """Connect and sign in; returns what answered. Raises Unavailable "mail.unavailable"."""


_used: list[Post] = []


def get_post() -> Post | None:
    """The configured server, or None."""
    if _used:
        return _used[-1]
    from django.conf import settings

    config = settings.CONFIG
    if not config.smtp_url:
        return None
    from adapters.mail.smtp import SmtpPost

    return SmtpPost(config.smtp_url, config.email_from)


@contextmanager
def use_post(post: Post) -> Iterator[Post]:
    """Put another server in its place (tests)."""
    _used.append(post)
    try:
        yield post
    finally:
        _used.remove(post)
