"""From notifications to messages, and that no message leaves twice."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from adapters.mail.fake import FakePost
from apps.accounts.actions import remove_member
from apps.accounts.actions.invitations import create_invitation
from apps.accounts.invitation_links import send as send_invitation
from apps.inbox import actions, mailing, queries
from apps.inbox.models import Message, Notification
from apps.inbox.states import Channel, Kind, MailState
from apps.inbox.tasks import Send
from apps.jobs.attempts import Ending, claim, finish
from apps.jobs.models import Job
from apps.jobs.states import Outcome
from foundation.clock import now
from foundation.errors import Conflict, Invalid, Unavailable
from tests.support.people import People

pytestmark = pytest.mark.django_db
ALL = dict.fromkeys(Kind.values, Channel.EMAIL)


@pytest.fixture
def mailed(people: People, post: FakePost) -> FakePost:
    """The contributor hears of everything by e-mail."""
    actions.choose_channels(actor=people.actor("contributor"), channels=ALL)
    return post


def wait(seconds: float = 30) -> None:
    """Let time pass for what waits to be gathered."""
    earlier = now() - datetime.timedelta(seconds=seconds)
    Notification.objects.filter(mail_due=True).update(created_at=earlier)


def send_all() -> list[str]:
    """Send what is due, as the job does."""
    due = Message.objects.filter(state=MailState.DUE).order_by("created_at")
    return [mailing.send(str(message.pk)) for message in due]


def test_several_news_are_one_message(people: People, mailed: FakePost, ended: Callable[..., Job]) -> None:
    for number in range(3):
        ended("failed", title=f"Train number {number}", reason="No such column.")
    assert mailing.digest() == 0, "gathered for a while first"
    wait()
    assert mailing.digest() == 1
    assert mailing.digest() == 0
    assert send_all() == [MailState.SENT]
    (letter,) = mailed.letters
    assert (letter.to, letter.subject) == ("contributor@example.org", "[Atelier] 3 notifications in Shop")
    for number in range(3):
        assert f"Train number {number} failed\nNo such column.\nShop · " in letter.text
    assert "/p/shop/jobs/" in letter.text
    assert letter.text.rstrip().endswith("/account/notifications")
    message = Message.objects.get()
    assert (message.state, message.text) == (MailState.SENT, "")
    assert Job.objects.filter(kind=mailing.KIND, subject_id=str(message.pk)).count() == 1


def test_the_next_message_leaves_some_minutes_later(
    people: People, mailed: FakePost, ended: Callable[..., Job]
) -> None:
    ended("failed")
    wait()
    mailing.digest()
    ended("failed")
    wait()
    assert mailing.digest() == 0
    Message.objects.update(created_at=now() - mailing.PAUSE)
    assert mailing.digest() == 1


def test_what_was_read_or_is_no_longer_theirs_is_not_sent(
    people: People, mailed: FakePost, ended: Callable[..., Job]
) -> None:
    ended("failed")
    actions.mark(actor=people.actor("contributor"), read=True)
    wait()
    assert mailing.digest() == 0
    ended("failed")
    remove_member(actor=people.actor("owner"), team=people.team, username="contributor")
    wait()
    assert mailing.digest() == 0
    assert not Message.objects.exists()
    assert not Notification.objects.filter(mail_due=True).exists()


def test_defaults_mail_what_waits_or_broke(people: People, post: FakePost, ended: Callable[..., Job]) -> None:
    ended("failed")
    assert not Notification.objects.filter(mail_due=True).exists()
    actions.tell(
        [people.maintainer], kind=Kind.PROMOTION_WAITS, key="k", sentence="It waits", url="/", project=people.project
    )  # fmt: skip
    assert Notification.objects.get(key="k").mail_due


def test_nobody_is_mailed_without_an_address_or_a_server(people: People, ended: Callable[..., Job]) -> None:
    actions.choose_channels(actor=people.actor("contributor"), channels=ALL)
    ended("failed")
    assert not Notification.objects.filter(mail_due=True).exists()
    with pytest.raises(Unavailable, match="no mail server"):
        mailing.send_test(actor=people.actor("contributor"))


def compose(people: People, key: str = "k") -> Message:
    message = mailing.compose(
        to="contributor@example.org", subject="S", text="A secret link", key=key, user=people.contributor
    )
    assert message is not None
    return message


def test_a_key_makes_one_message(people: People, post: FakePost) -> None:
    compose(people)
    assert mailing.compose(to="x@example.org", subject="S", text="T", key="k") is None


@pytest.mark.parametrize(("fault", "code"), [("down", "mail.unavailable"), ("later", "mail.later")])
def test_a_server_that_is_away_is_tried_again(people: People, post: FakePost, fault: str, code: str) -> None:
    message = compose(people)
    setattr(post, fault, True)
    with pytest.raises(Unavailable) as refused:
        mailing.send(str(message.pk))
    assert refused.value.code == code
    Job.objects.update(state="errored", finished_at=now(), reason="It was away.")
    Send().ended(Job.objects.get())
    message.refresh_from_db()
    assert (message.state, message.tries, message.reason) == (MailState.DUE, 1, "It was away.")
    assert mailing.post_again() == 0, "not before its time"
    Message.objects.update(next_at=now())
    assert mailing.post_again() == 1
    assert mailing.post_again() == 0, "a job for it waits already"
    setattr(post, fault, False)
    assert mailing.send(str(message.pk)) == MailState.SENT
    assert len(post.letters) == 1


def test_a_message_that_nobody_takes_for_a_day_is_given_up(people: People, post: FakePost) -> None:
    message = compose(people)
    Message.objects.update(created_at=now() - datetime.timedelta(hours=25))
    mailing.put_off(key=str(message.pk), reason="It is down.", for_good=False)
    message.refresh_from_db()
    assert (message.state, message.text, message.reason) == (MailState.FAILED, "", "It is down.")


def test_a_refused_recipient_is_not_asked_again(people: People, post: FakePost) -> None:
    message = compose(people)
    post.refuses = True
    with pytest.raises(Invalid) as refused:
        mailing.send(str(message.pk))
    job = Job.objects.get()
    held = claim(job_id=job.pk, worker="w", tier=0, lease_seconds=60)
    assert held is not None
    finish(
        job_id=job.pk, fence=held.fence, ending=Ending(Outcome.FAILED, str(refused.value), refused.value.code)
    )
    message.refresh_from_db()
    assert message.state == MailState.FAILED
    assert "550" in message.reason


@pytest.mark.parametrize("arrives", [True, False])
def test_a_connection_that_breaks_at_the_text_is_not_repeated(
    people: People, post: FakePost, arrives: bool
) -> None:
    message = compose(people)
    post.breaks, post.arrives = True, arrives
    assert mailing.send(str(message.pk)) == MailState.UNKNOWN
    post.breaks = False
    assert mailing.send(str(message.pk)) == MailState.UNKNOWN
    assert len(post.letters) == int(arrives)


def test_a_sender_that_died_with_the_text_is_not_repeated(people: People, post: FakePost) -> None:
    message = compose(people)
    Message.objects.update(state=MailState.HANDED)  # committed, and then the process was killed
    assert mailing.send(str(message.pk)) == MailState.UNKNOWN
    assert post.letters == []
    message.refresh_from_db()
    assert message.text == ""


def test_two_senders_of_one_message_send_it_once(people: People, post: FakePost, monkeypatch: Any) -> None:
    message = compose(people)
    opened = FakePost.open

    def open_and_lose(self: FakePost, letter: Any) -> Any:
        Message.objects.update(state=MailState.SENT)  # the other one was quicker
        return opened(self, letter)

    monkeypatch.setattr(FakePost, "open", open_and_lose)
    assert mailing.send(str(message.pk)) == ""
    assert post.letters == []


def test_a_test_message_goes_to_ones_own_address_once_a_minute(people: People, post: FakePost) -> None:
    mailing.send_test(actor=people.actor("maintainer"))
    with pytest.raises(Conflict):
        mailing.send_test(actor=people.actor("maintainer"))
    with pytest.raises(Invalid):
        mailing.send_test(actor=people.actor("viewer"))
    assert send_all() == [MailState.SENT]
    assert post.letters[0].to == "maintainer@example.org"


def test_an_invitation_with_an_address_is_mailed_with_its_link(people: People, post: FakePost) -> None:
    for email in ("new@example.org", ""):
        invitation, secret = create_invitation(
            actor=people.actor("owner"), team=people.team, role="viewer", email=email
        )
        link = f"https://studio.example.org/join#{secret}"
        assert send_invitation(invitation, link) == bool(email)
    (message,) = Message.objects.all()
    link = next(line for line in message.text.splitlines() if "/join#" in line)
    assert (message.to, message.user) == ("new@example.org", None)
    send_all()
    message.refresh_from_db()
    assert message.text == "", "the secret is not kept"
    assert link in post.letters[0].text


def test_old_rows_go(people: People, post: FakePost, ended: Callable[..., Job]) -> None:
    ended("failed")
    Notification.objects.update(created_at=now() - datetime.timedelta(days=181))
    mailing.tidy()
    assert queries.inbox(people.actor("contributor")).count() == 0
