"""States of pipeline runs and of their nodes, with the transition tables."""

from __future__ import annotations

from django.db import models

from foundation.states import Transitions


class PipelineRunState(models.TextChoices):
    """The life of a pipeline run.

    ::

        queued ──> running ──> succeeded | failed
          │           └──> stopping ──> cancelled | failed
          └──> cancelled | failed

    succeeded: every node succeeded, was reused, or was skipped because a condition did not hold.
    stopping: somebody cancelled it, and jobs of it still have to end.
    """

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    STOPPING = "stopping", "Stopping"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class NodeState(models.TextChoices):
    """The life of one node of a run.

    ::

        waiting ──> running ──> succeeded | failed | cancelled
          │  ^─────────┘  (a retry)
          └──> skipped | cancelled

    skipped: a node it needs failed, was skipped, or is a condition that did not hold.
    reused: it succeeded in the run that this one repeats; its outputs were taken over.
    """

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Skipped"
    CANCELLED = "cancelled", "Cancelled"
    REUSED = "reused", "Reused"


class StartedBy(models.TextChoices):
    """What started a pipeline run."""

    PERSON = "person", "A person"
    SCHEDULE = "schedule", "A schedule"


P = PipelineRunState
LIVE = frozenset({P.QUEUED, P.RUNNING, P.STOPPING})
TERMINAL = frozenset({P.SUCCEEDED, P.FAILED, P.CANCELLED})
CANCELLABLE = frozenset({P.QUEUED, P.RUNNING})

PIPELINE_RUN = Transitions(
    {
        P.QUEUED: {P.RUNNING, P.CANCELLED, P.FAILED},
        P.RUNNING: {P.STOPPING, P.SUCCEEDED, P.FAILED},
        P.STOPPING: {P.CANCELLED, P.FAILED},
    }
)

N = NodeState
DONE = frozenset({N.SUCCEEDED, N.REUSED})
"""A node in one of these has outputs, and nodes that need it may start."""
NODE_TERMINAL = DONE | {N.FAILED, N.SKIPPED, N.CANCELLED}

NODE = Transitions(
    {
        N.WAITING: {N.RUNNING, N.SUCCEEDED, N.FAILED, N.SKIPPED, N.CANCELLED},
        N.RUNNING: {N.WAITING, N.SUCCEEDED, N.FAILED, N.CANCELLED},
    }
)
