"""States of environments, with their transition table."""

from __future__ import annotations

from django.db import models

from foundation.states import Transitions


class EnvironmentState(models.TextChoices):
    """The life of an environment. Once it is ready its lock never changes; a folder that was removed because
    nobody used it is built again from that lock.

    ::

        building ──> ready
           │ └─────> failed ──> building  (somebody asks again)
    """

    BUILDING = "building", "Building"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


E = EnvironmentState
ENVIRONMENT = Transitions({E.BUILDING: {E.READY, E.FAILED}, E.FAILED: {E.BUILDING}})
