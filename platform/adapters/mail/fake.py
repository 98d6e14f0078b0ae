"""A mail server in memory, for tests: keeps what it was given and fails as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from adapters.mail import Letter
from foundation.errors import Invalid, Unavailable


@dataclass
class FakePost:
    """letters: what has arrived. down, later, refuses: how `open` fails. breaks: the connection ends while the text
    is being handed over; `arrives` says whether it got there all the same."""

    letters: list[Letter] = field(default_factory=list)
    down: bool = False
    later: bool = False
    refuses: bool = False
    breaks: bool = False
    arrives: bool = True

    def check(self) -> str:
        """See Post.check."""
        if self.down:
            raise Unavailable("mail.unavailable", "The mail server cannot be used: it is down.")
        return "in memory"

    @contextmanager
    def open(self, letter: Letter) -> Iterator[_Transfer]:
        """See Post.open."""
        self.check()
        if self.refuses:
            raise Invalid("mail.refused", "The mail server refuses the recipient: 550 unknown.")
        if self.later:
            raise Unavailable("mail.later", "The mail server does not take the recipient now: 450 busy.")
        yield _Transfer(self, letter)


@dataclass
class _Transfer:
    post: FakePost
    letter: Letter

    def hand_over(self) -> None:
        """See Transfer.hand_over."""
        if self.post.arrives or not self.post.breaks:
            self.post.letters.append(self.letter)
        if self.post.breaks:
            raise Unavailable("mail.uncertain", "The mail server was silent after the text was sent.")
