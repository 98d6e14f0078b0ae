"""Notifications, how people want to hear of them, messages on their way, and what a person has ticked off."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.accounts.models import Project, User
from apps.inbox.states import Channel, Kind, MailState
from foundation.clock import now
from foundation.models import Identified, Stamped

SENTENCE = 400


class Message(Stamped):
    """One e-mail. `text` is emptied once the message has left: it may hold a link that is a secret.

    key: what it is about; there is never a second message with the same one. next_at: not before.
    """

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, blank=True, related_name="+", help_text="Whose news it is."
    )
    to = models.CharField(max_length=254)
    subject = models.CharField(max_length=200)
    text = models.TextField(blank=True, default="")
    key = models.CharField(max_length=120, unique=True)
    state = models.CharField(max_length=8, choices=MailState, default=MailState.DUE)
    reason = models.TextField(blank=True, default="")
    tries = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(default=now)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["next_at"], name="inbox_mail_due", condition=Q(state=MailState.DUE)),
            models.Index(fields=["user", "-created_at"], name="inbox_mail_of_person"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} ({self.state})"


class Notification(Identified):
    """One sentence for one person. key: what it is about; nobody is told the same twice.

    project: where it happened; whoever loses access to it no longer sees the notification. mail_due: it waits to
    be put into a message.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notifications")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=24, choices=Kind)
    sentence = models.CharField(max_length=SENTENCE)
    detail = models.CharField(max_length=SENTENCE, blank=True, default="")
    state = models.CharField(max_length=24, blank=True, default="")
    url = models.CharField(max_length=300)
    key = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=now, editable=False)
    read_at = models.DateTimeField(null=True, blank=True)
    mail_due = models.BooleanField(default=False)
    message = models.ForeignKey(
        Message, on_delete=models.SET_NULL, null=True, blank=True, related_name="notifications"
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "key"], name="inbox_told_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "-created_at", "-id"], name="inbox_of_person"),
            models.Index(fields=["user"], name="inbox_unread", condition=Q(read_at__isnull=True)),
            models.Index(fields=["user", "created_at"], name="inbox_mail_waits", condition=Q(mail_due=True)),
        ]

    def __str__(self) -> str:
        return f"{self.sentence} (for {self.user_id})"


class Preference(models.Model):
    """How one person wants to hear of one kind of news; without a row states.default_channel holds."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=24, choices=Kind)
    channel = models.CharField(max_length=8, choices=Channel)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "kind"], name="inbox_preference_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.channel}"


class Watch(models.Model):
    """Somebody asked to be told when a job ends, however short it is."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        verbose_name_plural = "watches"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["job", "user"], name="inbox_watch_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} waits for {self.job_id}"


class Onboarding(models.Model):
    """What only a person can tell of a project's first steps: runs were compared, the list was put away."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    compared_at = models.DateTimeField(null=True, blank=True)
    dismissed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "onboarding"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "user"], name="inbox_onboarding_once"),
        ]

    def __str__(self) -> str:
        return f"first steps of {self.user_id} in {self.project_id}"
