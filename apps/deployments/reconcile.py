"""Brings actual deployments to what the rows want. One Reconciler lives in the serving process.

Blue/green by revision: the newest usable revision is started beside the one that answers, checked with its
golden rows, then routed to; the old one drains for DRAIN_SECONDS (longer than the gateway's route cache) and is
stopped. A crashed process is restarted with a growing pause; a revision that never came up is given up after
START_TRIES and the older one goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from adapters.serving import Launch, ModelServer
from apps.deployments import reports
from apps.deployments.models import Deployment, Revision
from apps.deployments.slots import Phase, Slot, Timing
from apps.deployments.states import ALIVE, USABLE, DeploymentState, RevisionState, Wanted

logger = logging.getLogger(__name__)

START_TRIES = 3
DRAIN_SECONDS = 4.0
PAUSE_MAX = 30.0
FLAP_COUNT, FLAP_SECONDS = 3, 300.0


@dataclass
class History:
    """What happened to one revision in this generation. Times on the monotonic clock."""

    was_up: bool = False
    failures: int = 0
    not_before: float = 0.0
    crashes: list[float] = field(default_factory=list)

    def pause(self, moment: float) -> None:
        """A start or a running process failed: wait 0.5, 1, 2, … PAUSE_MAX seconds before the next try."""
        self.failures += 1
        self.not_before = moment + min(PAUSE_MAX, 0.5 * 2 ** (self.failures - 1))

    def flaps(self, moment: float) -> bool:
        """Whether it crashed FLAP_COUNT times within FLAP_SECONDS."""
        self.crashes = [t for t in self.crashes if moment - t < FLAP_SECONDS]
        return len(self.crashes) >= FLAP_COUNT


@dataclass(frozen=True)
class Places:
    """Folders of the serving process: models (Bentos and scratch), sockets (short path), logs, records."""

    models: Path
    sockets: Path
    logs: Path
    records: Path


class Reconciler:
    """Holds the slots of this generation; `step()` compares them with the rows once."""

    def __init__(
        self,
        *,
        server: ModelServer,
        pool: Executor,
        places: Places,
        fetch: Callable[[Revision, Path], None],
        timing: Timing | None = None,
        drain_seconds: float = DRAIN_SECONDS,
        memory_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = server
        self.pool = pool
        self.places = places
        self.fetch = fetch
        self.timing = timing or Timing()
        self.drain_seconds = drain_seconds
        self.memory_bytes = memory_bytes
        self.clock = clock
        self.slots: dict[UUID, Slot] = {}
        self.histories: dict[UUID, History] = {}
        self.draining: dict[UUID, float] = {}

    def step(self) -> None:
        """One comparison of every deployment that needs anything. Database errors are the caller's."""
        rows = Deployment.objects.exclude(state=DeploymentState.STOPPED) | Deployment.objects.filter(
            wanted=Wanted.RUNNING, deleted_at__isnull=True
        )
        seen: set[UUID] = set()
        for deployment in rows.distinct().select_related("project").order_by("pk"):
            revisions = list(deployment.revisions.filter(state__in=ALIVE).order_by("-number"))
            seen.update(revision.pk for revision in revisions)
            gone = deployment.deleted_at is not None or deployment.project.deleted_at is not None
            if deployment.wanted == Wanted.RUNNING and not gone:
                self._keep_running(deployment, revisions)
            else:
                self._keep_stopped(deployment, revisions)
        for revision_id in [key for key in self.slots if key not in seen]:
            self._end(revision_id)

    def stop_all(self, *, seconds: float = 30.0) -> None:
        """End every model process; used when the serving process stops."""
        for slot in self.slots.values():
            slot.stop()
        deadline = self.clock() + seconds
        while self.clock() < deadline and not all(s.poll() is Phase.GONE for s in self.slots.values()):
            time.sleep(0.02)

    def _keep_running(self, deployment: Deployment, revisions: list[Revision]) -> None:
        target = next((r for r in revisions if r.state in USABLE), None)
        current = next((r for r in revisions if r.pk == deployment.current_id and r.state in USABLE), None)
        for revision in {r.pk: r for r in (target, current) if r is not None}.values():
            self._keep_up(deployment, revision)
        for revision in revisions:
            if revision.state == RevisionState.DRAINING:
                self._drain(revision)
        self._report(deployment)

    def _keep_up(self, deployment: Deployment, revision: Revision) -> None:
        history = self.histories.setdefault(revision.pk, History())
        self.draining.pop(revision.pk, None)
        slot = self.slots.get(revision.pk)
        if slot is None:
            if self.clock() >= history.not_before and reports.revision_starting(revision.pk):
                self.slots[revision.pk] = self._open(revision)
            return
        phase = slot.poll()
        if phase is Phase.UP and revision.state == RevisionState.STARTING:
            if reports.revision_ready(revision, socket=str(slot.launch.socket), pid=slot.pid):
                logger.info("revision %d of %s is ready", revision.number, deployment.name)
                history.was_up = True
                if not history.flaps(self.clock()):
                    history.failures = 0
        elif phase is Phase.LOST:
            self._lost(deployment, revision, slot, history)
        elif phase is Phase.GONE:  # it was being stopped when somebody wanted it again
            del self.slots[revision.pk]
            reports.revision_stopped(revision.pk, retired=False)

    def _lost(self, deployment: Deployment, revision: Revision, slot: Slot, history: History) -> None:
        if revision.socket:
            reports.revision_lost(revision.pk, reason=slot.reason)
        if not slot.is_cleared:
            return
        del self.slots[revision.pk]
        history.pause(self.clock())
        logger.warning("revision %d of %s was lost: %s", revision.number, deployment.name, slot.reason)
        if history.was_up:
            history.crashes.append(self.clock())
            reports.crashed_once_more(deployment.pk)
            reports.revision_lost(revision.pk, reason=slot.reason)
        if not history.was_up and history.failures >= START_TRIES:
            reports.revision_failed(
                revision.pk, reason=f"It did not come up in {START_TRIES} tries: {slot.reason}"
            )
            del self.histories[revision.pk]  # when a person starts it again, it has all its tries again
            return
        Revision.objects.filter(pk=revision.pk, state=RevisionState.STARTING).update(
            state=RevisionState.BUILT, reason=slot.reason
        )

    def _open(self, revision: Revision) -> Slot:
        name = revision.pk.hex
        launch = Launch(
            bento=self.places.models / name,
            socket=self.places.sockets / f"{name[-12:]}.sock",
            log=self.places.logs / f"{revision.deployment_id.hex}.log",
            record=self.places.records / f"{name}.json",
            folder=self.places.models / f"{name}.run",
            memory_bytes=self.memory_bytes,
        )
        return Slot(
            launch=launch,
            fetch=lambda folder: self.fetch(revision, folder),
            server=self.server,
            pool=self.pool,
            timing=self.timing,
            clock=self.clock,
        )

    def _drain(self, revision: Revision) -> None:
        """Stop a replaced revision once no gateway can still route to it."""
        since = self.draining.setdefault(revision.pk, self.clock())
        slot = self.slots.get(revision.pk)
        if slot is None or slot.poll() is Phase.GONE or slot.phase is Phase.LOST:
            self.slots.pop(revision.pk, None)
            self.draining.pop(revision.pk, None)
            reports.revision_stopped(revision.pk, retired=True)
        elif self.clock() - since >= self.drain_seconds:
            slot.stop()

    def _keep_stopped(self, deployment: Deployment, revisions: list[Revision]) -> None:
        """Close the route first, let the gateway's cache forget it, then stop the processes."""
        running = [revision for revision in revisions if revision.pk in self.slots]
        for revision in running:
            slot = self.slots[revision.pk]
            phase = slot.poll()
            if revision.socket:
                Revision.objects.filter(pk=revision.pk).update(socket="")
            since = self.draining.setdefault(revision.pk, self.clock())
            if phase is Phase.GONE or (phase is Phase.LOST and slot.is_cleared):
                del self.slots[revision.pk]
                self.draining.pop(revision.pk, None)
            elif phase not in (Phase.STOPPING, Phase.LOST) and self.clock() - since >= min(
                2.0, self.drain_seconds
            ):
                slot.stop()
        if any(revision.pk in self.slots for revision in revisions):
            return
        for revision in revisions:
            reports.revision_stopped(revision.pk, retired=False)
            self.histories.pop(revision.pk, None)
        reports.set_state(deployment.pk, DeploymentState.STOPPING)
        reports.set_state(deployment.pk, DeploymentState.STOPPED)

    def _end(self, revision_id: UUID) -> None:
        """A slot whose revision is given up: stop it and forget it when it is gone."""
        slot = self.slots[revision_id]
        slot.stop()
        if slot.poll() is Phase.GONE:
            del self.slots[revision_id]

    def _report(self, deployment: Deployment) -> None:
        """The deployment's state from its revisions as the rows now say."""
        fresh = (
            Deployment.objects.filter(pk=deployment.pk).values("wanted", "current_id", "deleted_at").first()
        )
        if fresh is None or fresh["wanted"] != Wanted.RUNNING or fresh["deleted_at"] is not None:
            return
        current = deployment.revisions.filter(pk=fresh["current_id"]).first()
        answers = current is not None and current.state == RevisionState.READY and bool(current.socket)
        newest = deployment.revisions.exclude(state=RevisionState.RETIRED).order_by("-number").first()
        if answers and current is not None:
            history = self.histories.get(current.pk)
            if history is not None and history.flaps(self.clock()):
                sentence = f"The model process crashed {len(history.crashes)} times within five minutes."
                set_state(deployment, DeploymentState.DEGRADED, sentence)
            elif newest is not None and newest.pk != current.pk and newest.state == RevisionState.FAILED:
                sentence = (
                    f"Revision {newest.number} ({newest.model_label}) did not come up, so revision "
                    f"{current.number} ({current.model_label}) goes on. {newest.reason}"
                )
                set_state(deployment, DeploymentState.DEGRADED, sentence)
            else:
                set_state(deployment, DeploymentState.READY, "")
            return
        coming = (*USABLE, RevisionState.BUILDING)
        waiting = deployment.revisions.filter(state__in=coming).order_by("-number").first()
        if waiting is None:
            reason = newest.reason if newest is not None else "it has no revision"
            set_state(deployment, DeploymentState.FAILED, reason)
            return
        words = {
            RevisionState.BUILDING: "its Bento is being built",
            RevisionState.BUILT: "it waits to be started",
        }
        reason = words.get(RevisionState(waiting.state), "the model is loading")
        if waiting.reason:
            reason = f"it is restarted after: {waiting.reason}"
        set_state(deployment, DeploymentState.STARTING, reason)


def set_state(deployment: Deployment, state: str, reason: str) -> None:
    """Write the state when the row that was read says otherwise."""
    if deployment.state != state or deployment.reason != reason:
        reports.set_state(deployment.pk, state, reason=reason)
