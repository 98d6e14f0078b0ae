"""SMTP against a real server, and the fake twin by the same contract."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from adapters.mail import Letter, Post
from adapters.mail.fake import FakePost
from adapters.mail.smtp import SmtpPost
from foundation.errors import Invalid, Unavailable
from tests.support.smtp import SmtpSink

SENDER = "Atelier <atelier@example.org>"
LETTER = Letter(
    to="ada@example.org", subject="Größe\nBcc: eve@example.org", text="Zürich\n.\n..\nend\n", key="k"
)
#: how a server fails → the reply of the real one, and the switch of the fake
FAULTS = {
    "refuses": ({"RCPT": "550 unknown"}, "", Invalid, "mail.refused"),
    "later": ({"RCPT": "450 busy"}, "", Unavailable, "mail.later"),
    "breaks": ({}, ".", Unavailable, "mail.uncertain"),
}
Made = tuple[Post, Callable[[], int]]


@contextlib.contextmanager
def real(fault: str) -> Iterator[Made]:
    answers, cut, *_ = FAULTS.get(fault, ({}, ""))
    with SmtpSink(answers=answers, cut_at=cut) as sink:
        yield SmtpPost(sink.url, SENDER, timeout=5), lambda: len(sink.letters)


@contextlib.contextmanager
def fake(fault: str) -> Iterator[Made]:
    post = FakePost(**({fault: True} if fault else {}))
    yield post, lambda: len(post.letters)


@pytest.fixture(params=[real, fake])
def made(request: pytest.FixtureRequest) -> Callable[[str], AbstractContextManager[Made]]:
    found: Callable[[str], AbstractContextManager[Made]] = request.param
    return found


def give(post: Post) -> None:
    with post.open(LETTER) as transfer:
        transfer.hand_over()


def test_a_letter_arrives_once(made: Callable[[str], AbstractContextManager[Made]]) -> None:
    with made("") as (post, arrived):
        assert post.check()
        assert arrived() == 0
        give(post)
        assert arrived() == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_error(made: Callable[[str], AbstractContextManager[Made]], fault: str) -> None:
    *_, error, code = FAULTS[fault]
    with made(fault) as (post, arrived):
        with pytest.raises(error) as raised:
            give(post)
        assert raised.value.code == code
        assert arrived() == (1 if fault == "breaks" else 0)


def test_nothing_is_given_before_the_caller_says_so(
    made: Callable[[str], AbstractContextManager[Made]],
) -> None:
    with made("") as (post, arrived):
        with post.open(LETTER):
            pass
        assert arrived() == 0


def test_the_text_and_the_headers_arrive_as_they_were_written() -> None:
    with SmtpSink() as sink:
        give(SmtpPost(sink.url, SENDER, timeout=5))
    (message,) = sink.letters
    assert message["Subject"] == "Größe Bcc: eve@example.org"
    assert message["Bcc"] is None
    assert message["From"] == SENDER
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().replace("\r\n", "\n") == LETTER.text
    assert sink.envelopes == [("mail FROM:<atelier@example.org>", "rcpt TO:<ada@example.org>")]


def test_the_same_key_makes_the_same_message_id() -> None:
    with SmtpSink() as sink:
        post = SmtpPost(sink.url, SENDER, timeout=5)
        give(post)
        give(post)
    assert len({message["Message-ID"] for message in sink.letters}) == 1


@pytest.mark.parametrize(("reply", "code"), [("451 later", "mail.later"), ("554 spam", "mail.refused")])
def test_the_answer_to_the_text_decides(reply: str, code: str) -> None:
    with SmtpSink(answers={".": reply}) as sink, pytest.raises((Invalid, Unavailable)) as raised:
        give(SmtpPost(sink.url, SENDER, timeout=5))
    assert raised.value.code == code  # type: ignore[attr-defined]


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with SmtpSink() as sink:
        url = sink.url
    with pytest.raises(Unavailable) as raised:
        SmtpPost(url, SENDER, timeout=5).check()
    assert raised.value.code == "mail.unavailable"


def test_a_password_is_never_sent_without_encryption() -> None:
    with SmtpSink(login=("ada", "s3cret")) as sink:
        url = sink.url.replace("//", "//ada:s3cret@")
        with pytest.raises(Unavailable, match="STARTTLS"):
            give(SmtpPost(url, SENDER, timeout=5))
        assert "AUTH" not in sink.verbs
        give(SmtpPost(f"{url}?starttls=never", SENDER, timeout=5))
        assert len(sink.letters) == 1


def test_a_wrong_password_is_told_without_repeating_it() -> None:
    with SmtpSink(login=("ada", "s3cret")) as sink:
        url = sink.url.replace("//", "//ada:wr0ng@") + "?starttls=never"
        with pytest.raises(Unavailable) as raised:
            SmtpPost(url, SENDER, timeout=5).check()
    assert "535" in raised.value.message
    assert "wr0ng" not in raised.value.message
    assert "wr0ng" not in repr(vars(raised.value))


def test_starttls_checks_the_certificate(tmp_path: Path) -> None:
    """A certificate that nobody has signed is refused, and then nothing is sent."""
    with SmtpSink(certificate=self_signed(tmp_path)) as sink:
        with pytest.raises(Unavailable, match="certificate"):
            give(SmtpPost(sink.url, SENDER, timeout=5))
        assert sink.letters == []
        give(SmtpPost(f"{sink.url}?starttls=never", SENDER, timeout=5))
        assert sink.encrypted == [False]


def self_signed(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(begin).not_valid_after(begin.replace(year=2090))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(pem + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path
