"""From notifications to messages, and from messages to the mail server: each message leaves at most once.

A message is *handed* before its text is given away. What happens then decides: the server's answer makes it sent,
due again or failed; a broken connection or a dead process leaves it *unknown*, and it is not sent again, for the
notification stands in the inbox anyway.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, TextField
from django.db.models.functions import Cast, Now

from adapters.mail import Letter, get_post
from apps.accounts.access import Actor, actor_for, require_user
from apps.accounts.models import Invitation, User
from apps.inbox import queries
from apps.inbox.models import Message, Notification
from apps.inbox.states import MAIL, MailState
from apps.jobs.actions import submit
from apps.jobs.models import Job
from apps.jobs.states import LIVE
from foundation.clock import now
from foundation.errors import AtelierError, Conflict, Invalid, Unavailable

KIND = "inbox.send"
#: news are gathered so long before the first message, and between one message and the next
GATHER = datetime.timedelta(seconds=20)
PAUSE = datetime.timedelta(minutes=5)
#: news in one message; the rest stands in the inbox
MOST = 40
#: how long a message that the server does not take is tried again
GIVE_UP = datetime.timedelta(hours=24)
LONGEST_WAIT = datetime.timedelta(hours=1)


@transaction.atomic
def compose(*, to: str, subject: str, text: str, key: str, user: User | None = None) -> Message | None:
    """A message and the job that sends it, in the caller's transaction. None when there is one of this key already,
    or no mail server."""
    if not to or not queries.mail_works():
        return None
    message, made = Message.objects.get_or_create(
        key=key, defaults={"to": to, "subject": subject[:200], "text": text, "user": user}
    )
    if not made:
        return None
    _submit(message)
    return message


def _submit(message: Message) -> None:
    submit(
        kind=KIND,
        project=None,
        created_by=None,
        spec={"message": str(message.pk)},
        title="Send an e-mail",
        subject=("message", str(message.pk)),
        priority=1,
        timeout=300,
    )


def send(key: str) -> str:
    """Give a message to the server. Returns the state it is in then. Raises what the server answered, as Unavailable
    when it is to be tried again."""
    message = Message.objects.filter(pk=key).first()
    if message is None:
        return ""
    mine = Message.objects.filter(pk=message.pk)
    if message.state == MailState.HANDED:  # an attempt died with it, nobody knows how far it came
        MAIL.move(mine, to=MailState.UNKNOWN, text="", reason="The sender died while the server had it.")
    if message.state != MailState.DUE:
        mine.update(text="")
        return str(mine.values_list("state", flat=True).get())
    post = get_post()
    if post is None:
        raise Unavailable("mail.unavailable", "No mail server is configured any more.")
    letter = Letter(to=message.to, subject=message.subject, text=message.text, key=message.key)
    with post.open(letter) as transfer:
        if not MAIL.move(mine, to=MailState.HANDED, updated_at=Now()):
            return ""
        try:
            transfer.hand_over()
        except Unavailable as error:
            if error.code == "mail.uncertain":
                MAIL.move(mine, to=MailState.UNKNOWN, text="", reason=error.message)
                return MailState.UNKNOWN
            MAIL.move(mine, to=MailState.DUE, frm=MailState.HANDED)
            raise
        except AtelierError:
            MAIL.move(mine, to=MailState.DUE, frm=MailState.HANDED)
            raise
    MAIL.move(mine, to=MailState.SENT, text="", reason="", sent_at=Now())
    return MailState.SENT


def put_off(*, key: str, reason: str, for_good: bool) -> None:
    """A job could not send it: try again later, less and less often, or give up."""
    with transaction.atomic():
        message = Message.objects.select_for_update().filter(pk=key, state=MailState.DUE).first()
        if message is None:
            return
        if for_good or now() - message.created_at > GIVE_UP:
            MAIL.move(Message.objects.filter(pk=message.pk), to=MailState.FAILED, text="", reason=reason)
            return
        wait = min(LONGEST_WAIT, datetime.timedelta(minutes=2 ** min(message.tries, 10)))
        Message.objects.filter(pk=message.pk).update(
            tries=message.tries + 1, reason=reason, next_at=now() + wait
        )


def post_again() -> int:
    """Jobs for messages that are due and have none. Returns how many."""
    live = Job.objects.filter(
        kind=KIND, subject_kind="message", subject_id=OuterRef("key_text"), state__in=LIVE
    )
    due = Message.objects.filter(state=MailState.DUE, next_at__lte=now())
    due = due.annotate(key_text=Cast("pk", TextField())).filter(~Exists(live))
    count = 0
    for message in due.order_by("next_at")[:100]:
        _submit(message)
        count += 1
    return count


def digest() -> int:
    """Messages for people whose news have waited long enough. Returns how many."""
    waiting = Notification.objects.filter(mail_due=True)
    people = list(
        waiting.filter(created_at__lte=now() - GATHER).values_list("user_id", flat=True).distinct()[:200]
    )
    if not people:
        return 0
    recent = Message.objects.filter(user__in=people, created_at__gt=now() - PAUSE)
    recent = recent.filter(notifications__isnull=False)
    paused = set(recent.values_list("user_id", flat=True))
    return sum(_digest_for(key) for key in people if key not in paused)


@transaction.atomic
def _digest_for(user_id: UUID) -> int:
    user = User.objects.select_for_update().get(pk=user_id)
    waiting = list(Notification.objects.filter(user=user, mail_due=True).select_related("project"))
    Notification.objects.filter(pk__in=[row.pk for row in waiting]).update(mail_due=False)
    if not queries.gets_mail(user):
        return 0
    mine = set(queries.inbox(actor_for(user), unread="true").values_list("pk", flat=True))
    news = sorted((row for row in waiting if row.pk in mine), key=lambda row: row.created_at)
    if not news:
        return 0
    ids = hashlib.sha256("".join(row.pk.hex for row in news).encode()).hexdigest()[:40]
    message = compose(to=user.email, subject=_subject(news), text=_text(news), key=f"digest:{ids}", user=user)
    if message is not None:
        Notification.objects.filter(pk__in=[row.pk for row in news]).update(message=message)
    return int(message is not None)


def address(path: str) -> str:
    """The whole address of a page, as a message names it."""
    return settings.CONFIG.public_url.rstrip("/") + path


def _subject(news: list[Notification]) -> str:
    if len(news) == 1:
        return f"[Atelier] {news[0].sentence}"[:200]
    projects = sorted({row.project.name for row in news if row.project is not None})
    where = f" in {', '.join(projects[:3])}" if projects else ""
    return f"[Atelier] {len(news)} notifications{where}"[:200]


def _text(news: Iterable[Notification]) -> str:
    rows = list(news)
    parts = []
    for row in rows[:MOST]:
        where = f"{row.project.name} · " if row.project is not None else ""
        lines = [row.sentence, row.detail, f"{where}{row.created_at:%-d %b %Y, %H:%M} UTC", address(row.url)]
        parts.append("\n".join(line for line in lines if line))
    if len(rows) > MOST:
        parts.append(f"And {len(rows) - MOST} more in your inbox:\n{address('/account/inbox')}")
    parts.append(f"-- \nYou choose what comes by e-mail: {address('/account/notifications')}")
    return "\n\n".join(parts) + "\n"


def send_test(*, actor: Actor) -> Message:
    """A test message to the actor's own address, at most one a minute. Raises Invalid "mail.no_address", Unavailable
    "mail.not_configured", Conflict "mail.test_recent"."""
    user = require_user(actor)
    if not queries.mail_works():
        raise Unavailable("mail.not_configured", "This studio has no mail server (ATELIER_SMTP_URL).")
    if not user.email:
        raise Invalid("mail.no_address", "Give your e-mail address first.", {"field": "email"})
    message = compose(
        to=user.email,
        subject="[Atelier] A test message",
        text=f"This is the test message that you asked for.\n\n{address('/account/notifications')}\n",
        key=f"test:{user.pk}:{now():%Y%m%d%H%M}",
        user=user,
    )
    if message is None:
        raise Conflict("mail.test_recent", "A test message was sent within this minute; look for that one.")
    return message


def mail_invitation(invitation: Invitation, link: str) -> bool:
    """Send an invitation's link to the address it was made for (accounts.invitation_links asks). Whether it is on
    its way."""
    inviter, team = invitation.invited_by.label, invitation.team.name
    text = (
        f"{inviter} invites you to the team {team} on Atelier as {invitation.get_role_display().lower()}.\n\n"
        f"Join with this link until {invitation.expires_at:%-d %b %Y, %H:%M} UTC; it works once:\n{link}\n\n"
        "If you do not know what this is, ignore it: nothing happens without the link.\n"
    )
    subject = f"[Atelier] {inviter} invites you to {team}"
    key = f"invitation:{invitation.pk}"
    return compose(to=invitation.email, subject=subject, text=text, key=key) is not None


def tidy(*, days: int = 180) -> None:
    """Old notifications and messages go."""
    limit = now() - datetime.timedelta(days=days)
    Notification.objects.filter(created_at__lt=limit).delete()
    Message.objects.filter(created_at__lt=limit).exclude(state=MailState.DUE).delete()
