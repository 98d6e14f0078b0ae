"""From a failed job to a letter on a real mail server, through the job engine's own supervisor."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from adapters.mail import use_post
from adapters.mail.smtp import SmtpPost
from apps.inbox import actions, mailing
from apps.inbox.models import Message, Notification
from apps.inbox.states import Channel, Kind, MailState
from apps.jobs.models import Job
from foundation.clock import now
from tests.jobs.conftest import make_supervisor, store
from tests.support.people import People
from tests.support.smtp import SmtpSink

__all__ = ["make_supervisor", "store"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_failure_reaches_the_persons_mailbox_once_though_the_server_is_away_at_first(
    people: People, ended: Callable[..., Job], make_supervisor: Callable[..., Any]
) -> None:
    people.contributor.email = "contributor@example.org"
    people.contributor.save()
    with (
        SmtpSink(answers={"RCPT": "451 not now"}) as sink,
        use_post(SmtpPost(sink.url, "a@b.example", timeout=5)),
    ):
        actions.choose_channels(actor=people.actor("contributor"), channels={Kind.JOB_FAILED: Channel.EMAIL})
        ended("failed", reason="No such column.")
        Notification.objects.update(created_at=now() - datetime.timedelta(minutes=1))
        assert mailing.digest() == 1
        job = Job.objects.get(kind=mailing.KIND)
        for _ in range(4):  # the first try and the three that follow a server that is away
            Job.objects.filter(pk=job.pk).update(not_before=None)
            make_supervisor().run(job.pk)
        job.refresh_from_db()
        assert job.state == "errored"
        message = Message.objects.get()
        assert (message.state, message.tries) == (MailState.DUE, 1)
        assert "451 not now" in message.reason
        sink.answers.clear()
        Message.objects.update(next_at=now())
        assert mailing.post_again() == 1
        again = Job.objects.filter(kind=mailing.KIND).exclude(pk=job.pk).get()
        make_supervisor().run(again.pk)
        again.refresh_from_db()
        assert (again.state, again.result) == ("succeeded", {"state": "sent"})
        (letter,) = sink.letters
        assert letter["To"] == "contributor@example.org"
        assert "No such column." in letter.get_content()
        message.refresh_from_db()
        assert (message.state, message.text) == (MailState.SENT, "")
