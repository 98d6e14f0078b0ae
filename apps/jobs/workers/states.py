"""How a worker is doing, as its row and the database's clock tell."""

from __future__ import annotations

from django.db import models


class WorkerState(models.TextChoices):
    """::

    ready ──drain──> draining ──nothing left──> drained ──resume──> ready
      └── no sign of life for a lease ──> silent        any ──told to end──> ending ──> stopped
    """

    READY = "ready", "Ready"
    DRAINING = "draining", "Draining"
    DRAINED = "drained", "Drained"
    ENDING = "ending", "Ending"
    SILENT = "silent", "Silent"
    STOPPED = "stopped", "Stopped"


#: A worker that has been silent for so many seconds is told among those that are gone.
GONE_AFTER = 900.0
HERE = (WorkerState.READY, WorkerState.DRAINING, WorkerState.DRAINED, WorkerState.ENDING, WorkerState.SILENT)
EXPLAINED = {
    WorkerState.READY: "It takes work.",
    WorkerState.DRAINING: "It takes nothing new; what runs here goes on to its end.",
    WorkerState.DRAINED: "It takes nothing new, and nothing runs here: its machine may be switched off.",
    WorkerState.ENDING: "It was told to end: what does not finish in time goes back to the queue.",
    WorkerState.SILENT: "It gives no sign of life. What ran here has been given to others, or soon will be.",
    WorkerState.STOPPED: "It ended by itself.",
}
TIERS = {
    0: "A job has an environment without secrets and limits of time, memory, disk and processes. It could read files of "
    "the worker's account and use the network.",
    1: "A job has an environment without secrets and limits; the kernel closes files and ports that it does not need "
    "(Landlock).",
    2: "A job runs under an account of its own, with limits; the kernel closes files and ports that it does not need.",
    3: "A job sees its own folder, its environment and the studio's API: no other file, process or network.",
}
