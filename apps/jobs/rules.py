"""The numbers of the job engine, in seconds unless said otherwise. Some can be set by the environment."""

from __future__ import annotations

import os


def _number(name: str, default: float) -> float:
    """runtime.settings_table has refused what is no number or out of bounds."""
    return float(os.environ.get(name) or default)


# A worker that has not been heard of for so long has lost its jobs.
LEASE = _number("ATELIER_LEASE_SECONDS", 45.0)
# A supervisor gives up a little before its lease does, so that its child is dead when the reaper comes.
GIVE_UP = LEASE * 0.9
HEARTBEAT = LEASE / 3
# How often a worker asks whether a job is to be cancelled.
LOOK = 0.5
# From SIGTERM to SIGKILL of a child.
GRACE = _number("ATELIER_GRACE_SECONDS", 10.0)
# The warm parent's imports cost seconds of processor time: at a start of the studio others need them first.
# A job that comes earlier starts it at once.
WARM_UP = 4.0
# A program whose process does not exist after so long cannot be launched.
LAUNCH = 120.0
# From the program's start to its first line; as long again may its preparation take before the reaper ends it.
START = _number("ATELIER_START_SECONDS", 300.0)
# What a supervisor that still beats may take beyond the time of its job (it may be copying what the job has left),
# and beyond the grace of one that is to stop, before the reaper ends the attempt in its place.
OVERTIME = 600.0
OVERSTOP = 15.0
# How long a finished result is kept for a database that is away.
FINISH = 600.0
# A worker that is told to stop lets its jobs finish for so long before it returns them to the queue.
DRAIN = _number("ATELIER_DRAIN_SECONDS", 4.0)
# How often a folder of checkpoints is looked at.
CHECKPOINT = _number("ATELIER_CHECKPOINT_SECONDS", 10.0)
# Work that waits for so long although a slot is free has lost its doorbell.
OVERDUE = min(10.0, LEASE)
# What a child may use when its plan does not say: share of the machine's memory, bytes of log.
MEMORY_SHARE = 0.8
LOG_BYTES = 20 * 1024 * 1024
