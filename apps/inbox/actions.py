"""Writes: tell people, mark as read, choose how to hear of what, wait for a job, first steps."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.access import Actor, require_user
from apps.accounts.models import Project, User
from apps.inbox import queries
from apps.inbox.models import SENTENCE, Notification, Onboarding, Preference, Watch
from apps.inbox.states import Channel, Kind, default_channel
from apps.jobs.models import Job
from foundation.clock import now
from foundation.errors import Conflict, Invalid

MOST_IDS = 500


def tell(
    people: Iterable[User],
    *,
    kind: Kind,
    key: str,
    sentence: str,
    url: str,
    project: Project | None = None,
    detail: str = "",
    state: str = "",
    but: User | None = None,
) -> int:
    """One notification for each of the people who wants to hear of the kind, in the caller's transaction.

    key: what it is about; whoever was told already is left out. but: the person who did it. Returns for how many
    it was written, the repeated ones included.
    """
    told = {user.pk: user for user in people if but is None or user.pk != but.pk}
    if not told:
        return 0
    chosen = dict(Preference.objects.filter(user__in=told, kind=kind).values_list("user_id", "channel"))
    rows = [
        Notification(
            user=user,
            project=project,
            kind=kind,
            key=key[:120],
            sentence=_short(sentence),
            detail=_short(detail),
            state=state,
            url=url[:300],
            mail_due=channel == Channel.EMAIL and queries.gets_mail(user),
        )
        for user in told.values()
        if (channel := chosen.get(user.pk, default_channel(kind))) != Channel.OFF
    ]
    Notification.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SENTENCE else text[: SENTENCE - 1].rstrip() + "…"


def settle(*, key: str, sentence: str, state: str) -> None:
    """What notifications of this key asked for is done: they say so, count as read, and are not sent any more."""
    rows = Notification.objects.filter(key=key)
    rows.update(sentence=_short(sentence), state=state, mail_due=False)
    rows.filter(read_at__isnull=True).update(read_at=now())


def mark(*, actor: Actor, read: bool, ids: Iterable[Any] | None = None, **filters: str) -> int:
    """Mark the actor's own notifications, those of `ids` or all that fit the filters of queries.inbox. Returns how
    many have changed. Raises Invalid "notification.ids"."""
    rows: QuerySet[Notification] = queries.inbox(actor, **filters)
    if ids is not None:
        rows = rows.filter(pk__in=_keys(list(ids)))
    if read:
        return rows.filter(read_at__isnull=True).update(read_at=now(), mail_due=False)
    return rows.filter(read_at__isnull=False).update(read_at=None)


def _keys(ids: list[Any]) -> list[uuid.UUID]:
    if len(ids) > MOST_IDS:
        raise Invalid("notification.ids", f"At most {MOST_IDS} ids at once.", {"field": "ids"})
    try:
        return [uuid.UUID(str(one)) for one in ids]
    except ValueError as error:
        raise Invalid("notification.ids", "ids holds something that is no id.", {"field": "ids"}) from error


@transaction.atomic
def choose_channels(*, actor: Actor, channels: Mapping[str, Any]) -> None:
    """How the actor wants to hear of some kinds. Raises Invalid "notification.kind", "notification.channel"."""
    user = require_user(actor)
    for kind, channel in channels.items():
        if kind not in Kind.values:
            raise Invalid(
                "notification.kind", f"There is no kind '{kind[:40]}'; there are: {', '.join(Kind.values)}."
            )
        if channel not in Channel.values:
            raise Invalid(
                "notification.channel",
                f"For {kind}, choose one of {', '.join(Channel.values)}.",
                {"field": kind},
            )
    rows = [Preference(user=user, kind=kind, channel=channel) for kind, channel in channels.items()]
    Preference.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["user", "kind"], update_fields=["channel"]
    )


def watch_job(*, actor: Actor, job: Job, wanted: bool) -> None:
    """Tell the actor when the job ends, or do not. Raises Conflict "job.finished" when it is over already."""
    user = require_user(actor)
    if not wanted:
        Watch.objects.filter(job=job, user=user).delete()
        return
    with transaction.atomic():
        # Locked: either the job's end sees the row, or we see the end.
        locked = Job.objects.select_for_update(of=("self",)).get(pk=job.pk)
        if locked.is_terminal:
            raise Conflict("job.finished", "This job is already over.", {"state": locked.state})
        Watch.objects.get_or_create(job=job, user=user)


def put_onboarding_away(*, actor: Actor, project: Project, away: bool = True) -> None:
    """The list of first steps is no longer shown to this person (or is again)."""
    user = require_user(actor)
    Onboarding.objects.update_or_create(
        user=user, project=project, defaults={"dismissed_at": now() if away else None}
    )


def note_comparison(*, user_id: uuid.UUID, project_id: uuid.UUID) -> None:
    """Somebody has compared runs here: a step of the first steps, noted once."""
    if not Onboarding.objects.filter(project_id=project_id, compared_at__isnull=False).exists():
        Onboarding.objects.update_or_create(
            user_id=user_id, project_id=project_id, defaults={"compared_at": now()}
        )
