"""The worker process: Celery's thread pool answers the doorbell, one thread a slot, one supervisor a job.

Threads and not processes: the work itself is in isolated children, so a slot here only waits; one process
holds one warm parent, one heart and few database connections. A slot that has finished a job goes on with
whatever waits next, so a message is needed only to wake an idle one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import connection

from adapters.executors.confine import hide_process
from adapters.executors.local import LocalExecutor
from apps.jobs import nodes, rules
from apps.jobs.actions import ring_later
from apps.jobs.capacity import Capacity
from apps.jobs.consumer import Consumer
from apps.jobs.doorbell import make_celery
from apps.jobs.heart import Heart
from apps.jobs.isolation import choose_tier, isolation_of
from apps.jobs.models import Job
from apps.jobs.placement import Placement, fits
from apps.jobs.reaper import reap_predecessors
from apps.jobs.states import JobState
from apps.jobs.supervisor import Supervisor
from apps.jobs.turns import Candidate, next_for
from apps.jobs.waiting import no_worker_for
from apps.jobs.watchman import Watchman
from apps.jobs.workers.courier import Courier
from apps.jobs.workers.membership import Membership, check_services, facts_of

if TYPE_CHECKING:
    from runtime.config import Config

logger = logging.getLogger(__name__)
MISSES = 20
# A stale ring looks for work all the same, but no more often than this.
LOOK_SECONDS = 0.1
SPARE_THREADS = 4
# How long a ring waits for a slot that is just about to be free.
HOLD_SECONDS = 0.5


class Slots:
    """Answers rings with at most `count` jobs at once, and with no more than `resources` (as Worker.resources has
    them) for the jobs that ask for some."""

    def __init__(
        self,
        supervisor: Supervisor,
        queues: list[str],
        count: int,
        resources: Mapping[str, Any] | None = None,
    ) -> None:
        self.supervisor = supervisor
        self.queues = queues
        self._free = threading.Semaphore(count)
        self.count = count
        self.capacity = Capacity(resources)
        self.paused = threading.Event()
        self.heard = 0
        self._looked_at = 0.0

    def answer(self, job_id: str | None) -> None:
        """A doorbell: run what waits, whose turn it is. Never raises: the row stays, somebody tries again."""
        self.heard += job_id is not None
        if self._takes_nothing or not self._free.acquire(timeout=HOLD_SECONDS):
            self._pass_on(job_id)
            return
        try:
            # Of a job that somebody has taken meanwhile the ring is stale, and there are thousands of these after
            # a long queue has been worked off. A fresh one may stand behind them all.
            fresh = job_id is None or Job.objects.filter(pk=job_id, state=JobState.QUEUED).exists()
            if fresh or time.monotonic() - self._looked_at > LOOK_SECONDS:
                self._looked_at = time.monotonic()
                self.work_off()
                if job_id is not None and fresh:
                    self._pass_on_too_large(job_id)
        except Exception:
            logger.exception("a slot failed at job %s", job_id)
        finally:
            connection.close()
            self._free.release()

    @property
    def _takes_nothing(self) -> bool:
        return self.paused.is_set() or self.supervisor.draining.is_set()

    def _pass_on(self, job_id: str | None) -> None:
        """No slot is free, or none may begin. Ours look for more work when they finish, so the ring may be
        dropped; but where there are other workers, one of them may be idle and has to hear it."""
        try:
            if job_id is not None and nodes.living_workers() > (0 if self._takes_nothing else 1):
                ring_later(job_id, seconds=HOLD_SECONDS)
        except Exception as error:
            logger.warning("a ring could not be passed on: %s: %s", type(error).__name__, error)
        finally:
            connection.close()

    def _pass_on_too_large(self, job_id: str) -> None:
        """A job that still waits and that this worker will never take, but another of its queue will."""
        job = Job.objects.filter(pk=job_id, state=JobState.QUEUED).first()
        if job is None or self._suits(job):
            return
        others = nodes.living().filter(queues__contains=[job.queue]).exclude(name=self.supervisor.worker)
        if not no_worker_for(job, list(others)):
            ring_later(job_id, seconds=HOLD_SECONDS)

    def _suits(self, job: Job) -> bool:
        return job.minimum_tier <= self.supervisor.executor.tier and fits(
            Placement.of(job).needs, self.capacity.total
        )

    def help_yourself(self) -> None:
        """Look for work without a ring."""
        self.answer(None)

    def work_off(self) -> int:
        """Run what waits on our queues, whoever's turn it is, until nothing does. Returns how many jobs."""
        done = misses = 0
        while not self._takes_nothing and misses < MISSES:
            waiting = self.waiting()
            connection.close()
            if not waiting:
                break
            if any(self._run(candidate) for candidate in waiting):
                done, misses = done + 1, 0
            else:
                misses += 1  # others were quicker with all of them: there may be more behind
        return done

    def _run(self, candidate: Candidate) -> bool:
        grant = self.capacity.take(candidate.needs)
        if grant is None:
            return False
        try:
            return self.supervisor.run(candidate.job_id, grant=grant, admitted=candidate.admitted)
        finally:
            self.capacity.give(grant)

    def waiting(self, *, overdue: float = 0.0) -> list[Candidate]:
        """The next waiting jobs that we may take; with `overdue`, only such as wait longer than that."""
        return next_for(
            queues=self.queues,
            tier=self.supervisor.executor.tier,
            capacity=self.capacity,
            worker=self.supervisor.worker,
            overdue=overdue,
        )

    def rescue(self) -> bool:
        """Work that waits although a slot is free here: Celery has gone silent (or the broker is away), so
        the slot helps itself. Called by a watchman now and then. Whether there was any."""
        if self._takes_nothing or not self._free.acquire(blocking=False):
            return False
        self._free.release()
        overdue = self.waiting(overdue=rules.OVERDUE)
        if overdue:
            logger.warning("%d jobs wait although a slot is free; taking them without a ring", len(overdue))
            threading.Thread(target=self.help_yourself, daemon=True).start()
        return bool(overdue)


def register_patiently(stop: threading.Event, attempts_dir: Path, **facts: Any) -> str:
    """Make this worker's row, waiting for a database that is not there yet. "" when told to stop before."""
    while not stop.is_set():
        try:
            row = nodes.register(kind="worker", **facts)
            reap_predecessors(host=row.host, attempts_dir=attempts_dir)
            return row.name
        except Exception as error:
            logger.warning("the worker cannot register yet: %s: %s", type(error).__name__, error)
            stop.wait(1.0)
        finally:
            with contextlib.suppress(Exception):
                connection.close()
    return ""


def main(config: Config) -> None:
    """Be a worker with `config.slots` slots until SIGTERM or SIGINT, then drain: nothing new is taken, what
    runs has rules.DRAIN seconds, and what is still unfinished goes back to the queue without being charged."""
    hide_process()
    check_services(config)
    choice = choose_tier(config)
    executor = LocalExecutor(scratch=Path(config.run_dir), isolation=isolation_of(config, choice))
    warming = threading.Timer(rules.WARM_UP, executor.warm_up)
    warming.daemon = True
    warming.start()
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    facts = facts_of(config, tier=executor.tier, isolation=choice.as_dict())
    name = register_patiently(told, Path(config.attempts_dir), **facts)
    if name:
        _serve(config, name, facts, executor, told)
    warming.cancel()
    executor.close()


def _serve(
    config: Config, name: str, facts: dict[str, Any], executor: LocalExecutor, told: threading.Event
) -> None:
    attempts_dir, queues = Path(config.attempts_dir), list(config.queues)
    heart = Heart(name)
    supervisor = Supervisor(name, executor, heart, attempts_dir, facts["resources"]["memory_bytes"])
    slots = Slots(supervisor, queues, config.slots, facts["resources"])
    # More threads than slots: Celery looks at the broker only while a thread of its own is free, and would
    # otherwise notice a ring up to a second late when the last slot is about to finish or stale rings come first.
    celery = Consumer(make_celery(config.broker_url, slots.answer), queues, config.slots + SPARE_THREADS)
    watchman = Watchman(slots, heart, celery.renew)

    def pause(asked: bool) -> None:
        (slots.paused.set if asked else slots.paused.clear)()
        celery.listen(not asked)
        if not asked:
            threading.Thread(target=slots.help_yourself, daemon=True).start()

    heart.check_in = Membership(name, facts, attempts_dir, pause).check_in
    # Beside the studio itself, web reads the logs of running jobs where they are.
    courier = None if config.keeper_pid else Courier(heart.watched, attempts_dir)
    heart.start()
    if courier is not None:
        courier.start()
    celery.start()
    watchman.start()
    logger.info(
        "%s is ready: %d slots, queues %s, isolation tier %d", name, config.slots, queues, executor.tier
    )
    # What has waited since before we came may have nobody to ring for it.
    threading.Thread(target=slots.help_yourself, daemon=True).start()
    while not told.wait(1.0) and not watchman.wedged.is_set():
        celery.ensure()
    logger.info("%s drains", name)
    watchman.stop()
    supervisor.drain()
    celery.stop()
    _say(nodes.say_ending, name)
    deadline = time.monotonic() + rules.DRAIN + rules.GRACE + 5
    while heart.busy and time.monotonic() < deadline:
        time.sleep(0.05)
    deaf = heart.busy
    if deaf:
        _say(lambda _: supervisor.abandon(), name)
    heart.stop()
    if courier is not None:
        courier.stop()
    _say(nodes.say_stopped, name)
    if deaf:
        logger.warning("%s ends although %d jobs do not listen", name, deaf)
        executor.close()
        os._exit(
            int(watchman.wedged.is_set())
        )  # threads of ours cannot be ended, and a plain exit would wait for them


def _say(what: Callable[[str], None], name: str) -> None:
    """Tell the database about this worker, if it is still there: when everything stops, it may be gone."""
    try:
        what(name)
    except Exception as error:
        logger.warning("%s: %s: %s", what.__name__, type(error).__name__, error)
    finally:
        with contextlib.suppress(Exception):
            connection.close()
