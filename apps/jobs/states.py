"""States of jobs and outcomes of attempts, with the one transition table."""

from __future__ import annotations

from django.db import models

from foundation.states import Transitions


class JobState(models.TextChoices):
    """Where a job is.

    ::

        queued ──> starting ──> running ──> succeeded | failed | errored | cancelled | timed_out
          ^  │        │  │         │ │
          │  │        │  └─> stopping <─┘ ──> cancelled | timed_out | failed | errored
          │  └─> cancelled  (asked while it waited)
          └─── an attempt that was lost, drained or may be repeated goes back to the queue

    failed: the user's code or data; errored: ours; both differ from cancelled and timed_out.
    """

    QUEUED = "queued", "Queued"
    STARTING = "starting", "Starting"
    RUNNING = "running", "Running"
    STOPPING = "stopping", "Stopping"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    ERRORED = "errored", "Errored"
    CANCELLED = "cancelled", "Cancelled"
    TIMED_OUT = "timed_out", "Timed out"


class Outcome(models.TextChoices):
    """How an attempt ended. `lost`: its worker went away, and nobody knows how far it came."""

    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    ERRORED = "errored", "Errored"
    CANCELLED = "cancelled", "Cancelled"
    TIMED_OUT = "timed_out", "Timed out"
    LOST = "lost", "Lost"


class Where(models.TextChoices):
    """Where a kind of job runs: our code in the worker, or a program in an isolated child."""

    PLATFORM = "platform", "Platform"
    SANDBOX = "sandbox", "Sandbox"


S = JobState
ACTIVE = frozenset({S.STARTING, S.RUNNING, S.STOPPING})
TERMINAL = frozenset({S.SUCCEEDED, S.FAILED, S.ERRORED, S.CANCELLED, S.TIMED_OUT})
LIVE = frozenset({S.QUEUED}) | ACTIVE
CANCELLABLE = frozenset({S.QUEUED, S.STARTING, S.RUNNING})

TRANSITIONS = Transitions(
    {
        S.QUEUED: {S.STARTING, S.CANCELLED, S.FAILED, S.ERRORED},
        S.STARTING: {S.RUNNING, S.STOPPING, S.QUEUED, *TERMINAL},
        S.RUNNING: {S.STOPPING, S.QUEUED, *TERMINAL},
        S.STOPPING: {S.QUEUED, S.FAILED, S.ERRORED, S.CANCELLED, S.TIMED_OUT},
    }
)


def is_terminal(state: str) -> bool:
    """Whether nothing can happen to a job in this state any more."""
    return state in TERMINAL
