"""Kinds of news, how somebody wants to hear of them, and the life of a message."""

from __future__ import annotations

from django.db import models

from foundation.states import Transitions


class Kind(models.TextChoices):
    """What notifications are about; the label names it in the settings."""

    JOB_FAILED = "job_failed", "A job of mine failed"
    JOB_ENDED = "job_ended", "A long job of mine ended, or one I asked about"
    RULE_APPLIED = "rule_applied", "A rule found something in a run of mine"
    PROMOTION_WAITS = "promotion_waits", "A promotion waits for an approval that I may give"
    PROMOTION_DECIDED = "promotion_decided", "A promotion of mine was decided"
    ALERT = "alert", "Drift in something I look after"
    STUDY_ENDED = "study_ended", "A study of mine ended"
    PIPELINE_FAILED = "pipeline_failed", "A pipeline run failed"
    SCHEDULE_DISABLED = "schedule_disabled", "A schedule was switched off"
    DEPLOYMENT_FAILED = "deployment_failed", "A deployment failed"
    INVITATION_ACCEPTED = "invitation_accepted", "Somebody joined by my invitation"


class Channel(models.TextChoices):
    """How somebody wants to hear of a kind of news."""

    EMAIL = "email", "Inbox and e-mail"
    INBOX = "inbox", "Inbox"
    OFF = "off", "Not at all"


#: what waits for a person or is broken is also sent by e-mail unless somebody says otherwise
MAILED = frozenset(
    {
        Kind.PROMOTION_WAITS,
        Kind.ALERT,
        Kind.PIPELINE_FAILED,
        Kind.SCHEDULE_DISABLED,
        Kind.DEPLOYMENT_FAILED,
    }
)


def default_channel(kind: str) -> Channel:
    """What holds for a kind until a person chooses."""
    return Channel.EMAIL if kind in MAILED else Channel.INBOX


class MailState(models.TextChoices):
    """The life of a message.

    due ──> handed ──> sent
     │         └─────> unknown  (the connection broke while the server had it: it is not sent again)
     └─> failed                 (refused for good, or not accepted for a day)
    """

    DUE = "due", "Waits to be sent"
    HANDED = "handed", "Being handed over"
    SENT = "sent", "Sent"
    UNKNOWN = "unknown", "Perhaps sent"
    FAILED = "failed", "Not sent"


MAIL = Transitions(
    {
        MailState.DUE: [MailState.HANDED, MailState.FAILED],
        MailState.HANDED: [MailState.SENT, MailState.UNKNOWN, MailState.DUE, MailState.FAILED],
    }
)
