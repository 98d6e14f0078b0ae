"""The worker process: Celery's thread pool answers the doorbell, one thread a slot, one supervisor a job.

Threads and not processes: the work itself is in isolated children, so a slot here only waits; one process
holds one warm parent, one heart and few database connections. A slot that has finished a job goes on with
whatever waits next, so a message is needed only to wake an idle one.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from adapters.executors.confine import hide_process
from adapters.executors.local import LocalExecutor
from apps.jobs import nodes, rules
from apps.jobs.actions import ring_later
from apps.jobs.consumer import Consumer
from apps.jobs.doorbell import make_celery
from apps.jobs.heart import Heart
from apps.jobs.models import Job
from apps.jobs.reaper import reap_predecessors
from apps.jobs.states import JobState
from apps.jobs.supervisor import Supervisor

if TYPE_CHECKING:
    from runtime.config import Config

logger = logging.getLogger(__name__)
LOOK_AHEAD = 10
# How long a ring waits for a slot that is just about to be free.
HOLD_SECONDS = 0.5


class Slots:
    """Answers rings with at most `count` jobs at once."""

    def __init__(self, supervisor: Supervisor, queues: list[str], count: int) -> None:
        self.supervisor = supervisor
        self.queues = queues
        self._free = threading.Semaphore(count)
        self.count = count

    def answer(self, job_id: str | None) -> None:
        """A doorbell: run that job, then whatever waits. Never raises: the row stays, somebody tries again."""
        if not self._free.acquire(timeout=HOLD_SECONDS):
            self._pass_on(job_id)
            return
        try:
            if job_id is not None:
                self.supervisor.run(job_id)
            self.work_off()
        except Exception:
            logger.exception("a slot failed at job %s", job_id)
        finally:
            connection.close()
            self._free.release()

    def _pass_on(self, job_id: str | None) -> None:
        """No slot is free. Ours look for more work when they finish, so the ring may be dropped; but where
        there are other workers, one of them may be idle and has to hear it."""
        try:
            if job_id is not None and nodes.living_workers() > 1:
                ring_later(job_id, seconds=HOLD_SECONDS)
        except Exception as error:
            logger.warning("a ring could not be passed on: %s: %s", type(error).__name__, error)
        finally:
            connection.close()

    def help_yourself(self) -> None:
        """Look for work without a ring."""
        self.answer(None)

    def work_off(self) -> int:
        """Run what waits on our queues, most urgent first, until nothing does. Returns how many jobs."""
        done = 0
        while not self.supervisor.draining.is_set():
            waiting = self.waiting()
            connection.close()
            if not any(self.supervisor.run(job_id) for job_id in waiting):
                break
            done += 1
        return done

    def waiting(self, *, overdue: float = 0.0) -> list[Any]:
        """The next waiting jobs of our queues; with `overdue`, only such as wait longer than that."""
        jobs = Job.objects.filter(
            Q(not_before__isnull=True) | Q(not_before__lte=Now()),
            state=JobState.QUEUED,
            queue__in=self.queues,
            minimum_tier__lte=self.supervisor.executor.tier,
        )
        if overdue:
            jobs = jobs.filter(queued_at__lte=Now() - datetime.timedelta(seconds=overdue))
        found = jobs.order_by("-priority", "queued_at").values_list("pk", flat=True)[:LOOK_AHEAD]
        return list(found)

    def rescue(self) -> None:
        """Work that waits although a slot is free here: Celery has gone silent (or the broker is away), so
        the slot helps itself. Called by a watchman now and then."""
        if self._free.acquire(blocking=False):
            self._free.release()
            overdue = self.waiting(overdue=rules.OVERDUE)
            if overdue:
                logger.warning(
                    "%d jobs wait although a slot is free; taking them without a ring", len(overdue)
                )
                threading.Thread(target=self.help_yourself, daemon=True).start()


class Watchman:
    """Looks after the doorbell itself, every few seconds."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchman", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(rules.OVERDUE / 2):
            try:
                self.slots.rescue()
            except Exception as error:
                logger.warning("the watchman could not look: %s: %s", type(error).__name__, error)
            finally:
                with contextlib.suppress(Exception):
                    connection.close()


def memory_for_a_job() -> int:
    """What a child may use when its plan does not say, in bytes."""
    import psutil

    return int(psutil.virtual_memory().total * rules.MEMORY_SHARE)


def register_patiently(stop: threading.Event, attempts_dir: Path, **about: Any) -> str:
    """Make this worker's row, waiting for a database that is not there yet. "" when told to stop before."""
    while not stop.is_set():
        try:
            row = nodes.register(kind="worker", **about)
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
    queues = [name.strip() for name in os.environ.get("ATELIER_QUEUES", "cpu").split(",") if name.strip()]
    executor = LocalExecutor(scratch=Path(config.run_dir))
    warming = threading.Timer(rules.WARM_UP, executor.warm_up)
    warming.daemon = True
    warming.start()
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    name = register_patiently(
        told,
        Path(config.attempts_dir),
        generation=config.generation,
        queues=queues,
        slots=config.slots,
        tier=executor.tier,
    )
    if name:
        _serve(config, name, queues, executor, told)
    warming.cancel()
    executor.close()


def _serve(
    config: Config, name: str, queues: list[str], executor: LocalExecutor, told: threading.Event
) -> None:
    heart = Heart(name)
    supervisor = Supervisor(name, executor, heart, Path(config.attempts_dir), memory_for_a_job())
    slots = Slots(supervisor, queues, config.slots)
    watchman = Watchman(slots)
    # One thread more than slots: Celery looks at the broker only while a thread of its own is free, and would
    # otherwise notice a ring up to a second late when the last slot is about to finish.
    celery = Consumer(make_celery(config.broker_url, slots.answer), queues, config.slots + 1)
    heart.start()
    celery.start()
    watchman.start()
    logger.info(
        "%s is ready: %d slots, queues %s, isolation tier %d", name, config.slots, queues, executor.tier
    )
    # What has waited since before we came may have nobody to ring for it.
    threading.Thread(target=slots.help_yourself, daemon=True).start()
    while not told.wait(1.0):
        celery.ensure()
    logger.info("%s drains", name)
    watchman.stop()
    supervisor.drain()
    celery.stop()
    _say(nodes.say_draining, name)
    deadline = time.monotonic() + rules.DRAIN + rules.GRACE + 5
    while heart.busy and time.monotonic() < deadline:
        time.sleep(0.05)
    deaf = heart.busy
    if deaf:
        _say(lambda _: supervisor.abandon(), name)
    heart.stop()
    _say(nodes.say_stopped, name)
    if deaf:
        logger.warning("%s ends although %d jobs do not listen", name, deaf)
        executor.close()
        os._exit(0)  # threads of ours cannot be ended, and a plain exit would wait for them


def _say(what: Callable[[str], None], name: str) -> None:
    """Tell the database about this worker, if it is still there: when everything stops, it may be gone."""
    try:
        what(name)
    except Exception as error:
        logger.warning("%s: %s: %s", what.__name__, type(error).__name__, error)
    finally:
        with contextlib.suppress(Exception):
            connection.close()
