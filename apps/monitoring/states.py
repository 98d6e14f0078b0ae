"""States of reports and alerts, with their transition tables."""

from __future__ import annotations

from django.db import models

from foundation.states import Transitions


class ReportState(models.TextChoices):
    """The life of a report.

    ::

        queued ──> running ──> succeeded
           └─────────┴──────> failed
    """

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"


class AlertState(models.TextChoices):
    """The life of an alert. A person acknowledges or closes it; a later report of the same window closes it when
    nothing fires there any more, and opens what it had closed itself when it fires again.

    ::

        open ──> acknowledged ──> closed
          └──────────────────────>┘ │
          └<────────────────────────┘  (only what a report had closed)
    """

    OPEN = "open", "Open"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    CLOSED = "closed", "Closed"


R = ReportState
LIVE = frozenset({R.QUEUED, R.RUNNING})
REPORT = Transitions(
    {R.QUEUED: {R.RUNNING, R.SUCCEEDED, R.FAILED}, R.RUNNING: {R.QUEUED, R.SUCCEEDED, R.FAILED}}
)

A = AlertState
STANDING = frozenset({A.OPEN, A.ACKNOWLEDGED})
ALERT = Transitions({A.OPEN: {A.ACKNOWLEDGED, A.CLOSED}, A.ACKNOWLEDGED: {A.CLOSED}, A.CLOSED: {A.OPEN}})
