"""What all lists and pages of the trash share: who put a thing there and when, and how it comes back.

The audit trail knows who; `deleted_at` of the row says when. Nothing is removed from the trash by itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from apps.accounts.models import AuditEvent, Project

#: how much earlier than the row's own time stamp the audit row of the same transaction may be dated
LEEWAY = datetime.timedelta(seconds=10)


def name_trashers(
    project: Project,
    rows: Iterable[Any],
    action: str,
    *,
    subject: Callable[[Any], object] = lambda row: row.pk,
    version: Callable[[Any], int | None] = lambda row: None,
) -> None:
    """Set `trashed_by` of every row to the name of who moved it to the trash; "" where nobody is known.

    `action` is that of the audit trail ("dataset.trash"). Versions are audited under what they belong to:
    `subject` gives its key, `version` the number in the detail. One query.
    """
    asked = list(rows)
    since = min((row.deleted_at for row in asked if row.deleted_at), default=None)
    found: dict[tuple[str, Any], str] = {}
    if since is not None:
        events = AuditEvent.objects.filter(
            project=project,
            action=action,
            at__gte=since - LEEWAY,
            subject_id__in={str(subject(row)) for row in asked},
        )
        for key, detail, label in events.order_by("at").values_list("subject_id", "detail", "actor_label"):
            found[key, detail.get("version")] = label
    for row in asked:
        row.trashed_by = found.get((str(subject(row)), version(row)), "")


def trash_page(
    request: Any,
    row: Any,
    *,
    title: str,
    kind: str,
    listing: tuple[str, str],
    restore_url: str,
    may_restore: bool,
    keeps: str,
) -> HttpResponse:
    """The page of a thing in the trash: what it is, since when, by whom, and the way back.

    listing: label and URL of the list it belongs to; keeps: a sentence on what comes back with it.
    """
    label, url = listing
    context = {
        "row": row,
        "title": title,
        "kind": kind,
        "list_label": label,
        "list_url": url,
        "restore_url": restore_url,
        "may_restore": may_restore,
        "keeps": keeps,
    }
    return render(request, "layouts/in_trash.html", context)
