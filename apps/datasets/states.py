"""States of a dataset version, with the one transition table."""

from __future__ import annotations

from django.db import models

from foundation.states import Transitions


class VersionState(models.TextChoices):
    """Where a version is.

    ::

        pending ──> ready            (and from then on immutable)
           ^  └───> failed
           └─────────┘  tried again, perhaps with other options
    """

    PENDING = "pending", "Pending"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


S = VersionState
TERMINAL = frozenset({S.READY, S.FAILED})
TRANSITIONS = Transitions({S.PENDING: {S.READY, S.FAILED}, S.FAILED: {S.PENDING}})
