"""Memory and processor time of an attempt over its time: a bounded number of samples, however long it runs.

What is kept in JobAttempt.samples: {"interval": seconds between samples, "memory": [bytes, the most within each
interval], "cores": [processors in use, the mean], "memory_limit": bytes or None}. Sample n covers the time from
n * interval to (n + 1) * interval after the program began. Where there would be more than MOST, neighbours are
merged and the interval doubles.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from apps.jobs.models import JobAttempt

MOST = 240
INTERVAL = 1.0
# A program that was over sooner has no curve worth a look, and costs no statement.
LEAST = 2
# So many new samples are written together.
WRITE_EVERY = 3


@dataclass
class Sampler:
    """Collects the samples of one attempt. Times are seconds since the program began.

    memory_limit: bytes that it may use, or None.
    """

    memory_limit: int | None = None
    interval: float = INTERVAL
    memory: list[int] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    _cpu_at: tuple[float, float] = (0.0, 0.0)  # the moment and the processor time of the last whole interval
    _peak: int = 0
    _kept: int = 0

    def add(self, seconds: float, cpu_seconds: float, memory_bytes: int) -> None:
        """What was measured `seconds` after the beginning. Several within an interval become one sample; of a
        program that nobody could measure for long, the missing ones repeat the last."""
        self._peak = max(self._peak, memory_bytes)
        began, cpu_before = self._cpu_at
        while self._slots(seconds) > MOST:
            self._halve()
        missing = self._slots(seconds) - len(self.memory)
        if missing <= 0 or seconds <= began:
            return
        self.memory += [self._peak] * missing
        self.cores += [round(max(0.0, cpu_seconds - cpu_before) / (seconds - began), 3)] * missing
        self._cpu_at, self._peak = (seconds, cpu_seconds), 0

    def _slots(self, seconds: float) -> int:
        """So many samples there are at this time; what comes once a second comes a little early now and then."""
        return int(seconds / self.interval + 0.1)

    def _halve(self) -> None:
        pairs = range(0, len(self.memory), 2)
        self.memory = [max(self.memory[n : n + 2]) for n in pairs]
        self.cores = [round(sum(self.cores[n : n + 2]) / len(self.cores[n : n + 2]), 3) for n in pairs]
        self.interval *= 2
        self._kept = 0

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "interval": self.interval,
            "memory": self.memory,
            "cores": self.cores,
            "memory_limit": self.memory_limit,
        }

    def due(self) -> bool:
        """Whether the growing curve should be written now."""
        return len(self.memory) >= LEAST and len(self.memory) - self._kept >= WRITE_EVERY

    def write(self, job_id: uuid.UUID, fence: int) -> None:
        """Keep what is new in the attempt's row, which only its own supervisor and the heart beside it write."""
        size = len(self.memory)
        if size < LEAST or size == self._kept:
            return
        JobAttempt.objects.filter(job_id=job_id, number=fence).update(samples=self.as_json())
        self._kept = size


@dataclass(frozen=True)
class Usage:
    """The samples of an attempt, ready to be drawn. seconds: of each point, since the program began."""

    seconds: list[float]
    memory: list[int]
    cores: list[float]
    interval: float
    memory_limit: int | None

    @property
    def peak(self) -> int:
        """The most memory, in bytes."""
        return max(self.memory)

    @property
    def busiest(self) -> float:
        """The most processors at once, within one interval."""
        return max(self.cores)

    @property
    def mean(self) -> float:
        """Processors in use on average."""
        return sum(self.cores) / len(self.cores)


def usage_of(attempt: JobAttempt | None) -> Usage | None:
    """What an attempt has used over its time; None when nothing was measured (a job of the platform runs in the
    worker itself, a short one ended first)."""
    kept = attempt.samples if attempt is not None else None
    if not kept or len(kept.get("memory") or ()) < LEAST:
        return None
    interval = float(kept["interval"])
    size = min(len(kept["memory"]), len(kept["cores"]))
    return Usage(
        seconds=[round((n + 1) * interval, 1) for n in range(size)],
        memory=kept["memory"][:size],
        cores=kept["cores"][:size],
        interval=interval,
        memory_limit=kept.get("memory_limit"),
    )
