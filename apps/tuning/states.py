"""States of studies and trials, with their transition tables, and the samplers and pruners on offer."""

from __future__ import annotations

from django.db import models

from foundation.states import Transitions


class StudyState(models.TextChoices):
    """What a study is doing.

    ::

        queued ──> running ──> stopping ──> stopped | failed | completed
           │          └──────────────────────────────────> completed
           └──> stopping                 all three ends ──> queued   (resumed)

    stopping: no new trial begins, those at work come to their end. completed: all trials were made, or the
    time was up; stopped: a person said so; failed: too many trials failed one after the other.
    """

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    STOPPING = "stopping", "Stopping"
    STOPPED = "stopped", "Stopped"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"


class TrialState(models.TextChoices):
    """As in Optuna. failed: also one that a person cancelled, which is then no fault of the space."""

    RUNNING = "running", "Running"
    COMPLETE = "complete", "Complete"
    PRUNED = "pruned", "Pruned"
    FAILED = "failed", "Failed"


class Sampler(models.TextChoices):
    """How the next parameters are chosen."""

    TPE = "tpe", "TPE"
    RANDOM = "random", "Random"
    GRID = "grid", "Grid"


class Pruner(models.TextChoices):
    """When an unpromising trial is ended early."""

    NONE = "none", "None"
    MEDIAN = "median", "Median"
    HALVING = "halving", "Successive halving"


AUTO = "auto"
S = StudyState
LIVE = frozenset({S.QUEUED, S.RUNNING, S.STOPPING})
OVER = frozenset({S.STOPPED, S.COMPLETED, S.FAILED})

STUDY = Transitions(
    {
        S.QUEUED: {S.RUNNING, S.STOPPING},
        S.RUNNING: {S.STOPPING, S.COMPLETED},
        S.STOPPING: {S.STOPPED, S.FAILED, S.COMPLETED},
        S.STOPPED: {S.QUEUED},
        S.COMPLETED: {S.QUEUED},
        S.FAILED: {S.QUEUED},
    }
)

T = TrialState
TOLD = frozenset({T.COMPLETE, T.PRUNED, T.FAILED})
TRIAL = Transitions({T.RUNNING: TOLD})
