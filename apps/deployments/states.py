"""States of deployments, revisions and imports, with their transition tables."""

from __future__ import annotations

from django.db import models

from foundation.states import Transitions


class DeploymentState(models.TextChoices):
    """What a deployment is doing. Actual state: the serving process writes it by compare-and-set.

    ::

        starting ──> ready <──> degraded
           │  ^        │           │
           v  │        v           v
        failed      stopping ──> stopped ──> starting

    degraded: it answers, but has crashed repeatedly, or its newest revision did not come up.
    """

    STARTING = "starting", "Starting"
    READY = "ready", "Ready"
    DEGRADED = "degraded", "Degraded"
    STOPPING = "stopping", "Stopping"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"


class Wanted(models.TextChoices):
    """What people want of a deployment; the serving process brings the actual state there."""

    RUNNING = "running", "Running"
    STOPPED = "stopped", "Stopped"


class RevisionState(models.TextChoices):
    """The life of one revision.

    ::

        building ──> built ──> starting ──> ready ──> draining ──> retired
           │                      │           │           (a stopped one goes back to built)
           └──────> failed <──────┘<──────────┘
        A failed one that has a Bento is tried again (built) when a person starts the deployment.
    """

    BUILDING = "building", "Building"
    BUILT = "built", "Built"
    STARTING = "starting", "Starting"
    READY = "ready", "Ready"
    DRAINING = "draining", "Draining"
    RETIRED = "retired", "Retired"
    FAILED = "failed", "Failed"


class ImportState(models.TextChoices):
    """An import of past events: importing → ready, or failed."""

    IMPORTING = "importing", "Importing"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


class Origin(models.TextChoices):
    """How inferences came to be known."""

    PREDICT = "predict", "Predicted here"
    IMPORT = "import", "Imported"


D = DeploymentState
ANSWERING = frozenset({D.READY, D.DEGRADED})
MOVING = frozenset({D.STARTING, D.STOPPING})

DEPLOYMENT = Transitions(
    {
        D.STARTING: {D.READY, D.DEGRADED, D.STOPPING, D.FAILED},
        D.READY: {D.STARTING, D.DEGRADED, D.STOPPING, D.FAILED},
        D.DEGRADED: {D.STARTING, D.READY, D.STOPPING, D.FAILED},
        D.STOPPING: {D.STOPPED, D.STARTING},
        D.STOPPED: {D.STARTING},
        D.FAILED: {D.STARTING, D.STOPPING},
    }
)

R = RevisionState
USABLE = frozenset({R.BUILT, R.STARTING, R.READY})
ALIVE = USABLE | {R.BUILDING, R.DRAINING}
"""Neither retired nor failed: what the serving process looks at."""

REVISION = Transitions(
    {
        R.BUILDING: {R.BUILT, R.FAILED},
        R.BUILT: {R.STARTING, R.FAILED, R.RETIRED},
        R.STARTING: {R.READY, R.BUILT, R.FAILED, R.RETIRED},
        R.READY: {R.STARTING, R.DRAINING, R.BUILT, R.FAILED},
        R.DRAINING: {R.RETIRED, R.BUILT},
        R.FAILED: {R.BUILT},
        R.RETIRED: {R.BUILT},
    }
)

IMPORT = Transitions({ImportState.IMPORTING: {ImportState.READY, ImportState.FAILED}})
