"""Where a job may run, and how urgent it is: the queue it waits on, what it needs of a worker, its priority.

Any queue name may be asked for: a job whose queue no worker serves waits and says so, since a worker may come.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.jobs.models import Job
from foundation.errors import Invalid

DEFAULT_QUEUE = "cpu"
GB = 1000**3
CPUS_AT_MOST, MEMORY_GB_AT_MOST, GPUS_AT_MOST = 1024, 65_536, 64
PRIORITY_AT_MOST = 100
FIELDS = ("queue", "resources", "priority")
NEEDS = ("cpus", "memory_gb", "gpus")
_QUEUE = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True)
class Needs:
    """What a job takes of a worker as long as it runs; zero = it shares what is there with the others."""

    cpus: float = 0.0
    memory_bytes: int = 0
    gpus: int = 0

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.cpus or self.memory_bytes or self.gpus)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Needs:
        """From Job.resources."""
        return cls(
            float(stored.get("cpus") or 0), int(stored.get("memory_bytes") or 0), int(stored.get("gpus") or 0)
        )

    def stored(self) -> dict[str, Any]:
        """As Job.resources keeps it: only what is asked for."""
        found = {"cpus": _plain(self.cpus), "memory_bytes": self.memory_bytes, "gpus": self.gpus}
        return {name: value for name, value in found.items() if value}

    def shown(self) -> dict[str, Any]:
        """As the API takes and tells it: {"cpus", "memory_gb", "gpus"}, only what is asked for."""
        found = {
            "cpus": _plain(self.cpus),
            "memory_gb": _plain(round(self.memory_bytes / GB, 3)),
            "gpus": self.gpus,
        }
        return {name: value for name, value in found.items() if value}

    @property
    def words(self) -> list[str]:
        """Such as ["4 processors", "16 GB of memory"]."""
        return [
            *([_count(self.cpus, "processor")] if self.cpus else []),
            *([f"{self.memory_bytes / GB:g} GB of memory"] if self.memory_bytes else []),
            *([_count(self.gpus, "GPU")] if self.gpus else []),
        ]

    def __str__(self) -> str:
        return ", ".join(self.words)


NO_BOUND = Needs(math.inf, 2**62, 2**31)


def total_of(resources: Mapping[str, Any]) -> Needs:
    """What a worker with these resources can give."""
    return Needs(
        float(resources.get("cpus") or NO_BOUND.cpus),
        int(resources.get("memory_bytes") or NO_BOUND.memory_bytes),
        int(resources.get("gpus") or 0),
    )


def room_of(resources: Mapping[str, Any], held: Iterable[Needs]) -> Needs:
    """What a worker with these resources has left besides what is held."""
    total, taken = total_of(resources), list(held)
    return Needs(
        total.cpus - sum(one.cpus for one in taken),
        total.memory_bytes - sum(one.memory_bytes for one in taken),
        total.gpus - sum(one.gpus for one in taken),
    )


def fits(needs: Needs, room: Needs) -> bool:
    """Whether the room is enough."""
    # Halves and tenths of processors add up to a little more than they are.
    return (
        needs.cpus <= room.cpus + 1e-6 and needs.memory_bytes <= room.memory_bytes and needs.gpus <= room.gpus
    )


@dataclass(frozen=True)
class Placement:
    """Queue, needs and priority of a job. Higher priority goes first among the jobs of one project."""

    queue: str = DEFAULT_QUEUE
    needs: Needs = field(default_factory=Needs)
    priority: int = 0

    @classmethod
    def of(cls, job: Job) -> Placement:
        """What a job was submitted with."""
        return cls(job.queue, Needs.of(job.resources or {}), job.priority)

    @property
    def words(self) -> str:
        """What differs from what every job has: "queue gpu, 4 processors, priority 5"."""
        queue = [] if self.queue == DEFAULT_QUEUE else [f"queue {self.queue}"]
        priority = [f"priority {self.priority}"] if self.priority else []
        return ", ".join([*queue, *self.needs.words, *priority])

    def as_json(self) -> dict[str, Any]:
        """As the API takes it."""
        return {"queue": self.queue, "resources": self.needs.shown(), "priority": self.priority}


def read_placement(data: Mapping[str, Any]) -> Placement:
    """The fields "queue", "resources" and "priority" of a body; absent or empty ones have their defaults.

    Raises Invalid "placement.queue", "placement.resources", "placement.priority".
    """
    return Placement(
        queue=_read_queue(data.get("queue")),
        needs=_read_needs(data.get("resources")),
        priority=_read_priority(data.get("priority")),
    )


def check_queue(name: str) -> str:
    """Raises Invalid "placement.queue" for what cannot be the name of a queue."""
    if not _QUEUE.fullmatch(name):
        raise Invalid(
            "placement.queue",
            f"A queue has 1 to 40 small letters, digits and '-', such as cpu or gpu-large: '{name[:60]}' does not.",
            {"field": "queue"},
        )
    return name


def _read_queue(value: object) -> str:
    if value in (None, ""):
        return DEFAULT_QUEUE
    return check_queue(value.strip() if isinstance(value, str) else str(value))


def _read_needs(value: object) -> Needs:
    if value in (None, ""):
        return Needs()
    if not isinstance(value, Mapping):
        raise Invalid(
            "placement.resources",
            'The resources must be an object such as {"cpus": 2, "memory_gb": 8, "gpus": 1}.',
            {"field": "resources"},
        )
    for name in value:
        if name not in NEEDS:
            raise Invalid(
                "placement.resources",
                f"There is no resource '{str(name)[:60]}'; there are {', '.join(NEEDS)}.",
                {"field": "resources"},
            )
    return Needs(
        cpus=_amount(value, "cpus", 0.1, CPUS_AT_MOST),
        memory_bytes=int(_amount(value, "memory_gb", 0.1, MEMORY_GB_AT_MOST) * GB),
        gpus=int(_amount(value, "gpus", 1, GPUS_AT_MOST, whole=True)),
    )


def _amount(given: Mapping[str, Any], name: str, low: float, high: float, *, whole: bool = False) -> float:
    """A number within bounds; absent, empty or 0: nothing is asked for."""
    value = given.get(name)
    if value is None or value == "":
        return 0.0
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if number == 0:
        return 0.0
    if not low <= number <= high or (whole and number != int(number)):
        raise Invalid(
            "placement.resources",
            f"The resource '{name}' must be a {'whole ' if whole else ''}number from {low:g} to {high:,}.",
            {"field": f"resources.{name}", "low": low, "high": high},
        )
    return number


def _read_priority(value: object) -> int:
    if value in (None, ""):
        return 0
    try:
        number = None if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not -PRIORITY_AT_MOST <= number <= PRIORITY_AT_MOST or number != int(number):
        raise Invalid(
            "placement.priority",
            f"The priority must be a whole number from -{PRIORITY_AT_MOST} to {PRIORITY_AT_MOST}.",
            {"field": "priority", "low": -PRIORITY_AT_MOST, "high": PRIORITY_AT_MOST},
        )
    return int(number)


def _plain(number: float) -> float | int:
    return int(number) if number == int(number) else number


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"
