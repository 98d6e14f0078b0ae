"""The heart of a worker: one thread that prolongs the leases of all its jobs and brings back what it hears.

It never touches a child. Each supervisor reads its own Pulse and acts; when the heart itself hangs (a
database that does not answer), the pulses grow old and the supervisors give up by the monotonic clock.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from apps.jobs import attempts, nodes, rules
from apps.jobs.models import Job
from apps.jobs.samples import Sampler
from apps.jobs.states import ACTIVE

logger = logging.getLogger(__name__)
NODE_SECONDS = 5.0
PROGRESS_SECONDS = 1.0


@dataclass
class Pulse:
    """What a supervisor and the heart tell each other about one attempt. Times are monotonic."""

    job_id: uuid.UUID
    fence: int
    beaten_at: float = field(default_factory=time.monotonic)
    cancel: bool = False
    stale: bool = False
    started: bool = False  # by the supervisor: the program has reached its first line
    warm: bool | None = None
    running: bool = False  # by whoever has told the database so
    progress: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    job: Job | None = None
    samples: Sampler = field(default_factory=Sampler)

    @property
    def lost(self) -> bool:
        """Whether this attempt must stop without another word: another fence has the job, or nobody has
        confirmed the lease for too long."""
        return self.stale or time.monotonic() - self.beaten_at > rules.GIVE_UP


def tell_running(pulse: Pulse) -> None:
    """Move the job to running once its program has begun. Doing it twice changes nothing."""
    if pulse.started and not pulse.running:
        attempts.mark_running(job_id=pulse.job_id, fence=pulse.fence, warm=pulse.warm, known=pulse.job)
        pulse.running = True


class Heart:
    """Start it once per worker; `watch` each attempt."""

    def __init__(self, worker: str, each_beat: Callable[[], None] = lambda: None) -> None:
        self.worker = worker
        self.each_beat = each_beat
        self.check_in: Callable[[str], object] = nodes.beat
        self._pulses: dict[tuple[uuid.UUID, int], Pulse] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._node_at = 0.0
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stop.set()
        self._wake.set()
        self._thread.join(5)

    @contextlib.contextmanager
    def watch(self, job: Job) -> Iterator[Pulse]:
        """Keep the attempt's lease alive as long as the block runs."""
        pulse = Pulse(job.pk, job.fence, job=job)
        with self._lock:
            self._pulses[job.pk, job.fence] = pulse
        try:
            yield pulse
        finally:
            with self._lock:
                self._pulses.pop((job.pk, job.fence), None)

    def hurry(self) -> None:
        """Beat now: there is news that people wait for."""
        self._wake.set()

    def watched(self) -> list[tuple[uuid.UUID, int]]:
        """Job and fence of each attempt watched now."""
        with self._lock:
            return list(self._pulses)

    def given_up(self) -> list[tuple[uuid.UUID, int]]:
        """Of these, the ones whose job has gone on without them: their supervisors should be back soon."""
        with self._lock:
            return [key for key, pulse in self._pulses.items() if pulse.stale]

    @property
    def busy(self) -> int:
        """Attempts watched now."""
        return len(self._pulses)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(rules.LOOK)
            self._wake.clear()
            try:
                self.beat()
                self.each_beat()
            except Exception as error:
                logger.warning("the heart missed a beat: %s: %s", type(error).__name__, str(error)[:300])
            finally:
                with contextlib.suppress(Exception):
                    connection.close()

    def beat(self) -> None:
        """One round: prolong what is due, look at the rest with one query, and show that this worker lives."""
        with self._lock:
            pulses = list(self._pulses.values())
        self._look([pulse for pulse in pulses if not self._beat_one(pulse)])
        if time.monotonic() - self._node_at >= NODE_SECONDS:
            self._node_at = time.monotonic()
            self.check_in(self.worker)

    def _beat_one(self, pulse: Pulse) -> bool:
        """Whether the row was asked. What goes wrong with one attempt must not stop the others' leases."""
        try:
            tell_running(pulse)
            return self._prolong(pulse)
        except (OperationalError, InterfaceError):
            raise  # the database is away: nobody's lease can be prolonged
        except Exception:
            logger.exception("the heart has trouble with job %s", pulse.job_id)
            pulse.told = pulse.progress  # whatever was wrong with it is not told again
            return False

    def _prolong(self, pulse: Pulse) -> bool:
        age = time.monotonic() - pulse.beaten_at
        news = pulse.progress if pulse.progress != pulse.told else None
        if age < rules.HEARTBEAT and (news is None or age < PROGRESS_SECONDS):
            return False
        asked_at = time.monotonic()  # before the question: the lease must never be shorter than we believe
        answer = attempts.heartbeat(
            job_id=pulse.job_id, fence=pulse.fence, lease_seconds=rules.LEASE, progress=news
        )
        if answer is None:
            pulse.stale = True
            return True
        pulse.beaten_at = asked_at
        pulse.cancel = pulse.cancel or answer.cancel_requested
        if news is not None:
            pulse.told = news
        if pulse.samples.due():
            pulse.samples.write(pulse.job_id, pulse.fence)
        return True

    def _look(self, pulses: list[Pulse]) -> None:
        if not pulses:
            return
        rows = Job.objects.filter(pk__in=[pulse.job_id for pulse in pulses], state__in=ACTIVE)
        found = {
            (pk, fence): asked for pk, fence, asked in rows.values_list("pk", "fence", "cancel_requested_at")
        }
        for pulse in pulses:
            key = (pulse.job_id, pulse.fence)
            if key not in found:
                pulse.stale = True
            elif found[key] is not None:
                pulse.cancel = True
