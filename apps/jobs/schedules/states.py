"""How a due time ended."""

from __future__ import annotations

from django.db import models


class FiringState(models.TextChoices):
    """What came of one due time; written once, with its effect, in one transaction."""

    FIRED = "fired", "Started"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Skipped"
