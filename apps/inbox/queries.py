"""Reads: a person's inbox, what is unread, how they want to hear of what, whether mail can be sent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from adapters.mail import get_post
from apps.accounts.access import Actor, require_user, visible_projects
from apps.accounts.models import User
from apps.inbox.models import Message, Notification, Onboarding, Preference, Watch
from apps.inbox.states import Channel, Kind, default_channel
from foundation.errors import Forbidden, Invalid, NotFound

#: more unread ones are not counted
COUNTED = 100


def inbox(
    actor: Actor, *, unread: str = "", kind: str = "", project: str = "", q: str = ""
) -> QuerySet[Notification]:
    """The actor's notifications of projects that are still theirs, newest first when ordered so.

    A token bound to a project sees those of that project. Raises Forbidden for a job's token: news are for
    people; Invalid "notification.kind".
    """
    user = require_user(actor)
    if actor.job_id is not None:
        raise Forbidden("notification.job", "Notifications are for people; a job's token does not see them.")
    if kind and kind not in Kind.values:
        raise Invalid("notification.kind", f"kind is one of {', '.join(Kind.values)}.", {"field": "kind"})
    here = Q(project__in=visible_projects(actor).values("pk"))
    if actor.project_id is None:
        here |= Q(project__isnull=True)
    rows = Notification.objects.filter(here, user=user)
    if unread == "true":
        rows = rows.filter(read_at__isnull=True)
    if kind:
        rows = rows.filter(kind=kind)
    if project:
        rows = rows.filter(project__slug=project)
    if q:
        text = q.replace("\x00", "")
        rows = rows.filter(Q(sentence__icontains=text) | Q(detail__icontains=text))
    return rows


def get_notification(actor: Actor, key: UUID) -> Notification:
    """One of the actor's own. Raises NotFound "notification.not_found"."""
    found = inbox(actor).filter(pk=key).first()
    if found is None:
        raise NotFound(
            "notification.not_found", "There is no such notification, or it is not yours any more."
        )
    return found


def unread_count(actor: Actor) -> int:
    """How many are unread; counting ends at COUNTED."""
    if actor.user is None or actor.job_id is not None:
        return 0
    return inbox(actor, unread="true").values("pk")[:COUNTED].count()


def mail_works() -> bool:
    """Whether a mail server is configured."""
    return get_post() is not None


def gets_mail(user: User) -> bool:
    """Whether a message would reach the person."""
    return bool(user.email) and user.is_active and mail_works()


def channels_of(user: User) -> dict[Kind, Channel]:
    """How the person hears of each kind."""
    chosen = dict(Preference.objects.filter(user=user).values_list("kind", "channel"))
    return {kind: Channel(chosen.get(kind, default_channel(kind))) for kind in Kind}


def last_message(user: User) -> Message | None:
    """The newest message to a person."""
    return Message.objects.filter(user=user).order_by("-created_at", "-pk").first()


def waits_for(user: Any, job_id: UUID) -> bool:
    """Whether the person asked to be told when the job ends."""
    return Watch.objects.filter(user=user, job_id=job_id).exists()


def onboarding_of(user: Any, project_id: UUID) -> tuple[bool, bool]:
    """(somebody has compared runs in the project, this person has put the list away)."""
    compared, away = Q(compared_at__isnull=False), Q(user=user, dismissed_at__isnull=False)
    rows = Onboarding.objects.filter(project_id=project_id)
    found = rows.aggregate(compared=Count("pk", filter=compared), away=Count("pk", filter=away))
    return found["compared"] > 0, found["away"] > 0
