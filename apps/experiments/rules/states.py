"""Kinds of rules, what they do, and how far they are."""

from __future__ import annotations

from django.db import models


class RuleKind(models.TextChoices):
    """What a rule looks for in the metrics of a run."""

    NOT_A_NUMBER = "not_a_number", "Not a number"
    NOT_IMPROVING = "not_improving", "No longer improving"
    OVERFITTING = "overfitting", "Overfitting"


class Action(models.TextChoices):
    """What happens when a rule applies: a mark and a notification, or also the end of the run."""

    WARN = "warn", "Warn"
    STOP = "stop", "Stop the run"


class RuleState(models.TextChoices):
    """How far a rule is.

    watching ──> warned | stopped   (it applied)
        └──────> passed             (the run ended and it never did)
    """

    WATCHING = "watching", "Watching"
    WARNED = "warned", "Warned"
    STOPPED = "stopped", "Stopped the run"
    PASSED = "passed", "Did not apply"


FIRED = frozenset({RuleState.WARNED, RuleState.STOPPED})
