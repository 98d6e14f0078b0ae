"""States of versions and promotions, and the aliases that only a promotion moves."""

from __future__ import annotations

from django.db import models

from foundation.states import Transitions

STAGING = "staging"
PRODUCTION = "production"
PROTECTED = (STAGING, PRODUCTION)
NEEDS_APPROVAL = frozenset({PRODUCTION})


class VersionState(models.TextChoices):
    """pending: its MLmodel file is being read; ready; failed: that file cannot be read."""

    PENDING = "pending", "Pending"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


class PromotionState(models.TextChoices):
    """Where a promotion stands.

    checking → refused (by a check) | awaiting_approval | applied | failed (the checks could not run)
    awaiting_approval → applied | rejected (by a person) | failed (another version took the alias meanwhile)
    """

    CHECKING = "checking", "Checking"
    REFUSED = "refused", "Refused"
    AWAITING_APPROVAL = "awaiting_approval", "Awaiting approval"
    APPLIED = "applied", "Applied"
    REJECTED = "rejected", "Rejected"
    FAILED = "failed", "Failed"


LIVE = (PromotionState.CHECKING, PromotionState.AWAITING_APPROVAL)
PROMOTION = Transitions(
    {
        PromotionState.CHECKING: [
            PromotionState.REFUSED,
            PromotionState.AWAITING_APPROVAL,
            PromotionState.APPLIED,
            PromotionState.FAILED,
        ],
        PromotionState.AWAITING_APPROVAL: [
            PromotionState.APPLIED,
            PromotionState.REJECTED,
            PromotionState.FAILED,
        ],
    }
)


class MovedBy(models.TextChoices):
    """What moved an alias."""

    PROMOTION = "promotion", "A promotion"
    CLIENT = "client", "An MLflow client"
    STUDIO = "studio", "The studio"


class CheckState(models.TextChoices):
    """How one check of a promotion ended. Only `failed` refuses the promotion."""

    PASSED = "passed", "Passed"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Skipped"
