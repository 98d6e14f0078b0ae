"""Reading the audit trail of a team: filters, and its export as CSV or JSON lines."""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.dateparse import parse_date, parse_datetime

from apps.accounts.models import AuditEvent, Team
from foundation.clock import iso
from foundation.errors import Invalid

FILTERS = ("actor", "action", "project", "kind", "object", "since", "until", "q")
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
COLUMNS = (
    "at",
    "actor",
    "action",
    "subject_kind",
    "subject_id",
    "subject_title",
    "project",
    "detail",
    "token",
    "address",
    "request_id",
)
LONGEST = 200
BATCH = 1000
# A spreadsheet takes a text that begins so for a formula (CWE-1236).
_FORMULA = re.compile(r"^[=+\-@\t\r]")


@dataclass(frozen=True)
class AuditFilter:
    """What of a trail is asked for. since: from then on; until: before then (a bare date counts whole)."""

    actor: str = ""
    action: str = ""
    project: str = ""
    kind: str = ""
    object: str = ""
    q: str = ""
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None

    @classmethod
    def read(cls, given: Mapping[str, str]) -> AuditFilter:
        """From a query string. Raises Invalid "audit.filter" naming the field."""
        texts = {name: _text(name, given.get(name) or "") for name in FILTERS}
        since, until = texts.pop("since"), texts.pop("until")
        first, last = _moment("since", since), _moment("until", until, end=True)
        if first and last and first >= last:
            raise Invalid(
                "audit.filter", "The time span is empty: since is not before until.", {"field": "until"}
            )
        return cls(**texts, since=first, until=last)

    def apply(self, rows: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        """The rows that fit. action is how the action begins, at a dot: dataset, dataset.create."""
        if self.actor:
            rows = rows.filter(actor_label__in=[self.actor, f"{self.actor} (job)"])
        if self.action:
            word = self.action.rstrip(".")
            rows = rows.filter(Q(action=word) | Q(action__startswith=f"{word}."))
        if self.project:
            rows = rows.filter(project__slug=self.project)
        if self.kind:
            rows = rows.filter(subject_kind=self.kind)
        if self.object:
            rows = rows.filter(Q(subject_id=self.object) | Q(subject_title=self.object))
        if self.since:
            rows = rows.filter(at__gte=self.since)
        if self.until:
            rows = rows.filter(at__lt=self.until)
        for word in self.q.split():
            rows = rows.annotate(detail_text=Cast("detail", TextField())).filter(
                Q(subject_title__icontains=word)
                | Q(actor_label__icontains=word)
                | Q(action__icontains=word)
                | Q(request_id=word)
                | Q(detail_text__icontains=word)
            )
        return rows


def _text(name: str, value: str) -> str:
    value = str(value).strip()
    if len(value) > LONGEST or "\x00" in value:
        raise Invalid("audit.filter", f"{name} is at most {LONGEST} characters of text.", {"field": name})
    return value


def _moment(name: str, text: str, *, end: bool = False) -> datetime.datetime | None:
    if not text:
        return None
    try:
        day = parse_date(text)
        if day is not None:
            start = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
            return start + datetime.timedelta(days=1) if end else start
        moment = parse_datetime(text.replace(" ", "+"))  # a '+' that was not quoted arrives as a space
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise Invalid(
            "audit.filter",
            f"{name} is a date such as 2026-11-23, or a time such as 2026-11-23T09:30:00Z.",
            {"field": name},
        )
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def audit_of_team(team: Team, wanted: AuditFilter) -> QuerySet[AuditEvent]:
    """Audit rows of a team that fit the filter."""
    return wanted.apply(AuditEvent.objects.filter(team=team).select_related("project"))


def as_record(event: AuditEvent) -> dict[str, Any]:
    """One row under the names of COLUMNS, as the API and the export show it."""
    return {
        "at": iso(event.at),
        "actor": event.actor_label,
        "action": event.action,
        "subject_kind": event.subject_kind,
        "subject_id": event.subject_id,
        "subject_title": event.subject_title,
        "project": event.project.slug if event.project_id and event.project else None,
        "detail": event.detail,
        "token": str(event.token_id) if event.token_id else None,
        "address": event.address,
        "request_id": event.request_id,
    }


def in_words(detail: object) -> str:
    """A row's detail for people: names and values without brackets."""
    if isinstance(detail, dict):
        return "; ".join(f"{key} {in_words(value)}".rstrip() for key, value in detail.items())
    if isinstance(detail, list):
        return ", ".join(in_words(value) for value in detail)
    if detail is None:
        return "–"
    return {True: "yes", False: "no"}[detail] if isinstance(detail, bool) else str(detail)


def export(rows: QuerySet[AuditEvent], form: str) -> Iterator[bytes]:
    """The rows from new to old in pieces of BATCH, so that any number of them costs the same memory."""
    if form == "csv":
        yield (",".join(COLUMNS) + "\r\n").encode()
    last: AuditEvent | None = None
    while True:
        page = rows.order_by("-at", "-id")
        if last is not None:
            page = page.filter(Q(at__lt=last.at) | Q(at=last.at, id__lt=last.pk), at__lte=last.at)
        batch = list(page[:BATCH])
        if batch:
            yield _as_csv(batch) if form == "csv" else _as_lines(batch)
        if len(batch) < BATCH:
            return
        last = batch[-1]


def _as_lines(batch: list[AuditEvent]) -> bytes:
    return "".join(json.dumps(as_record(event), ensure_ascii=False) + "\n" for event in batch).encode()


def _as_csv(batch: list[AuditEvent]) -> bytes:
    """Texts that a spreadsheet would run as a formula get an apostrophe in front."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    for event in batch:
        record = as_record(event)
        record["detail"] = json.dumps(event.detail, ensure_ascii=False) if event.detail else ""
        writer.writerow(
            "'" + text if _FORMULA.match(text) else text
            for text in (str(record[name] or "") for name in COLUMNS)
        )
    return sink.getvalue().encode()
