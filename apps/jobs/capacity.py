"""What a worker has left: its jobs that asked for processors, memory or GPUs hold them as long as they run.

A job that asked for nothing takes a slot and no more. Kept in the worker's memory: the jobs it runs are its own
children, and a worker that goes away takes both with it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.jobs.placement import Needs, fits, total_of

#: Libraries that start as many threads as the machine has processors read these.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "POLARS_MAX_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


@dataclass(frozen=True)
class Grant:
    """What a job holds: its needs, and which GPUs (their numbers on this machine)."""

    needs: Needs
    gpus: tuple[int, ...] = ()

    def environment(self) -> dict[str, str]:
        """Variables that keep a program to what it was given."""
        found: dict[str, str] = {}
        if self.needs.cpus:
            found |= dict.fromkeys(THREADS, str(max(1, math.floor(self.needs.cpus))))
        if self.gpus:
            found["CUDA_VISIBLE_DEVICES"] = ",".join(str(number) for number in self.gpus)
        return found


NOTHING = Grant(Needs())


class Capacity:
    """The resources of one worker (as Worker.resources has them; without one of them there is no bound, but GPUs
    are there only when said so). Thread-safe."""

    def __init__(self, resources: Mapping[str, Any] | None = None) -> None:
        self.total = total_of(resources or {})
        self._lock = threading.Lock()
        self._held: list[Grant] = []

    def room(self) -> Needs:
        """What could be given now."""
        with self._lock:
            return self._room()

    def _room(self) -> Needs:
        return Needs(
            self.total.cpus - sum(grant.needs.cpus for grant in self._held),
            self.total.memory_bytes - sum(grant.needs.memory_bytes for grant in self._held),
            self.total.gpus - sum(grant.needs.gpus for grant in self._held),
        )

    def take(self, needs: Needs) -> Grant | None:
        """Hold it; None when there is not enough left. Give every grant back."""
        with self._lock:
            if not fits(needs, self._room()):
                return None
            busy = {number for grant in self._held for number in grant.gpus}
            free = (number for number in range(self.total.gpus) if number not in busy)
            grant = Grant(needs, tuple(next(free) for _ in range(needs.gpus)))
            self._held.append(grant)
            return grant

    def give(self, grant: Grant) -> None:
        """Hold it no more."""
        with self._lock:
            self._held = [one for one in self._held if one is not grant]
