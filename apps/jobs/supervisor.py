"""The supervisor of one attempt: claim, prepare, run, watch, judge, finish.

It never writes without its fence, and it never waits for the database while a child runs: the heart does,
and the supervisor reads its pulse.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from django.db import InterfaceError, OperationalError, connection

from adapters.executors.local import clear_folder
from adapters.executors.protocol import (
    LOG_NAME,
    OUTPUTS_NAME,
    Cause,
    Executor,
    Exit,
    Handle,
    clean_progress,
    disk_is_full,
)
from apps.jobs import attempts, logs, rules
from apps.jobs.attempts import Ending
from apps.jobs.capacity import NOTHING, Grant
from apps.jobs.checkpoints import keeping as checkpoints
from apps.jobs.handlers import JobContext, JobStopped, Registered, handler_for
from apps.jobs.heart import Heart, Pulse, tell_running
from apps.jobs.lending import lending
from apps.jobs.models import Job
from apps.jobs.states import Outcome, Where
from apps.jobs.verdict import (
    DRAINED,
    NO_SPACE,
    SILENT_DATABASE,
    UNEXPLAINED,
    Stop,
    judge,
    refused,
    seconds,
    surprised,
)
from foundation.errors import AtelierError
from foundation.tasks import SandboxPlan

logger = logging.getLogger(__name__)
POLL = 0.2


@dataclass
class Supervisor:
    """Runs attempts on behalf of one worker. Thread-safe: each attempt has its own thread.

    attempts_dir: where folders <job>/<fence>/ are made; draining: set when the worker is told to stop.
    """

    worker: str
    executor: Executor
    heart: Heart
    attempts_dir: Path
    memory_bytes: int | None = None
    draining: threading.Event = field(default_factory=threading.Event)
    drained_at: float | None = None

    def drain(self) -> None:
        """Take nothing new; what runs has rules.DRAIN seconds to finish before it goes back to the queue."""
        self.drained_at = time.monotonic()
        self.draining.set()

    def abandon(self) -> None:
        """Give back, uncharged, what still does not listen: this process is about to end."""
        ending = Ending(Outcome.LOST, DRAINED, "job.drained", charged=False)
        for job_id, fence in self.heart.watched():
            try:
                attempts.finish(job_id=job_id, fence=fence, ending=ending)
            except Exception as error:  # one that cannot be given back must not keep the others
                logger.warning("job %s cannot be given back: %s: %s", job_id, type(error).__name__, error)

    def run(
        self,
        job_id: uuid.UUID | str,
        *,
        grant: Grant | None = None,
        admitted: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Claim and run one job to its end. False when it was not ours to run.

        grant: what it may use of this machine; admitted: see attempts.claim.
        """
        if self.draining.is_set():
            return False
        job = attempts.claim(
            job_id=job_id,
            worker=self.worker,
            tier=self.executor.tier,
            lease_seconds=rules.LEASE,
            admitted=admitted,
        )
        if job is None:
            return False
        folder = self.attempts_dir / str(job.pk) / str(job.fence)
        with self.heart.watch(job) as pulse:
            try:
                ending = self._attempt(job, folder, pulse, grant or NOTHING)
            except Exception as error:
                logger.exception("the supervisor of job %s failed", job.pk)
                ending = surprised(error)
            if ending is not None:
                self._finish(job, folder, pulse, self._with_log(job, folder, ending))
        if ending is None:
            logger.warning("job %s fence %s was lost; its child has been killed", job.pk, job.fence)
            if not pulse.stale:
                self._give_back(job, folder)
        clear_folder(folder)
        return True

    def _give_back(self, job: Job, folder: Path) -> None:
        """The lease could not be prolonged in time: say so as soon as the database answers again, instead of
        letting everybody wait for the reaper. The fence refuses it when somebody else was quicker."""
        ending = self._with_log(job, folder, Ending(Outcome.LOST, SILENT_DATABASE, "job.database_lost"))
        deadline = time.monotonic() + rules.LEASE
        while not self.draining.is_set():
            try:
                attempts.finish(job_id=job.pk, fence=job.fence, ending=ending)
                return
            except Exception as error:
                logger.warning("job %s cannot be given back: %s: %s", job.pk, type(error).__name__, error)
                connection.close()
                if time.monotonic() > deadline:
                    return
                time.sleep(0.5)

    def _attempt(self, job: Job, folder: Path, pulse: Pulse, grant: Grant) -> Ending | None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handler = handler_for(job.kind)
        except LookupError as error:
            return Ending(Outcome.ERRORED, f"{error}.".capitalize(), "job.kind_unknown")
        watch = Watch(job, pulse, self)
        try:
            if handler.where == Where.PLATFORM:
                return self._platform(job, handler, folder, pulse, watch)
            with lending(self.executor):
                plan = self._limited(handler.prepare(job), grant)
            connection.close()  # back to the pool: the child may run for hours
            return self._sandbox(job, handler, plan, folder, watch)
        except AtelierError as error:
            return refused(error)

    def _limited(self, plan: SandboxPlan, grant: Grant) -> SandboxPlan:
        return replace(
            plan,
            env={**grant.environment(), **plan.env},
            # Who asked for memory has it to himself, and no more than that.
            memory_bytes=grant.needs.memory_bytes or plan.memory_bytes or self.memory_bytes,
            stdout_bytes=plan.stdout_bytes or rules.LOG_BYTES,
        )

    def _sandbox(
        self, job: Job, handler: Registered, plan: SandboxPlan, folder: Path, watch: Watch
    ) -> Ending | None:
        watch.pulse.samples.memory_limit = plan.memory_bytes
        with checkpoints.kept(job, plan, folder) as keeper:
            handle = self.executor.start(plan, folder)
            watch.launched_at = time.monotonic()
            try:
                end = self._follow(handle, watch)
                if watch.pulse.lost:
                    return None
                report = handle.report()
            finally:
                handle.close()
            if keeper is not None:
                keeper.keep(final=True)
        if report is not None and "traceback" in report.detail:
            logger.error("job %s failed in its child:\n%s", job.pk, report.detail["traceback"])
        ending = judge(end, report, blame=plan.blame, stop=watch.stop)
        if ending.error_code in UNEXPLAINED and disk_is_full(folder):
            return replace(ending, outcome=Outcome.ERRORED, reason=NO_SPACE, error_code="job.disk_full")
        if ending.outcome == Outcome.SUCCEEDED:
            ending = replace(
                ending,
                result=handler.collect(job, ending.result, folder / OUTPUTS_NAME),
                files=folder / OUTPUTS_NAME,
            )
        return ending

    def _follow(self, handle: Handle, watch: Watch) -> Exit:
        pulse, killed = watch.pulse, False
        began, sample = time.monotonic(), handle.stats()
        while True:
            end = handle.poll(POLL)
            if handle.started and not pulse.started:
                pulse.warm, pulse.started = handle.warm, True
                self.heart.hurry()
            if end is not None:
                return end
            sample, before = handle.stats(), sample
            news = dict(handle.progress)
            if sample.processes:
                if sample is not before and sample.memory_bytes:  # what is just ending has none any more
                    pulse.samples.add(time.monotonic() - began, sample.cpu_seconds, sample.memory_bytes)
                news |= {"memory_bytes": sample.memory_bytes, "cpu_seconds": sample.cpu_seconds}
            pulse.progress = news
            if not handle.launched and time.monotonic() - watch.began > rules.LAUNCH:
                self.executor.renew()
                return Exit(Cause.VANISHED)
            if pulse.lost and not killed:
                killed = True
                handle.kill()
            elif watch.stop is None and watch.decide() is not None:
                handle.terminate(rules.GRACE)

    def _platform(
        self, job: Job, handler: Registered, folder: Path, pulse: Pulse, watch: Watch
    ) -> Ending | None:
        began = time.monotonic()
        pulse.running = attempts.mark_running(job_id=job.pk, fence=job.fence, known=job)
        if not pulse.running:
            return Ending(Outcome.CANCELLED, job.reason or "Cancelled before it began.")
        files = folder / OUTPUTS_NAME
        files.mkdir(exist_ok=True)

        def report(step: float, total: float | None, message: str) -> None:
            pulse.progress = clean_progress({"step": step, "total": total, "message": message})

        with logs.open_log(folder / LOG_NAME) as log:
            ctx = JobContext(
                job, log, report, lambda: pulse.lost or (watch.stop or watch.decide()) is not None, files
            )
            try:
                result = handler.run(ctx)
                ending = Ending(Outcome.SUCCEEDED, result=handler.collect(job, result, files), files=files)
            except JobStopped:
                stop = watch.stop
                if stop is None or pulse.lost:
                    return None
                ending = Ending(stop.outcome, stop.reason, stop.code, charged=stop.charged)
            except AtelierError as error:
                log.error("%s", error.message)
                ending = refused(error)
            except Exception as error:
                logger.exception("job %s (%s) failed", job.pk, job.kind)
                ending = surprised(error)
                log.error("%s", ending.reason)
        return replace(ending, wall_seconds=time.monotonic() - began)

    def _with_log(self, job: Job, folder: Path, ending: Ending) -> Ending:
        key, size = logs.keep(folder / LOG_NAME, job.pk, job.fence)
        return replace(ending, log_key=key, log_bytes=size)

    def _finish(self, job: Job, folder: Path, pulse: Pulse, ending: Ending) -> None:
        """End the attempt in the database; one that went away is asked again for long, since the work is done.
        Whether a lost COMMIT arrived, and whether the reaper was quicker, is then told by the fence."""
        deadline = time.monotonic() + rules.FINISH
        while True:
            try:
                tell_running(pulse)
                pulse.samples.write(job.pk, job.fence)
                done = attempts.finish(job_id=job.pk, fence=job.fence, ending=ending)
                if done is None:
                    logger.warning("job %s fence %s is not ours any more", job.pk, job.fence)
                return
            except (OperationalError, InterfaceError):
                logger.warning("job %s cannot be finished right now", job.pk, exc_info=True)
                connection.close()
                hurried = self.draining.is_set() and pulse.lost
                if pulse.stale or hurried or time.monotonic() > deadline:
                    return
                time.sleep(0.5)
            except Exception as error:
                if ending.outcome == Outcome.ERRORED:
                    raise
                logger.exception("job %s cannot be ended as %s", job.pk, ending.outcome)
                ending = replace(surprised(error), log_key=ending.log_key, log_bytes=ending.log_bytes)


@dataclass
class Watch:
    """When to stop an attempt whose program goes on. Decides once."""

    job: Job
    pulse: Pulse
    supervisor: Supervisor
    began: float = field(default_factory=time.monotonic)
    launched_at: float | None = None
    stop: Stop | None = None
    clock: Callable[[], float] = time.monotonic

    def decide(self) -> Stop | None:
        """The reason to stop now, or None."""
        limit = self.job.timeout_seconds
        if self.pulse.cancel:
            self.stop = Stop(Outcome.CANCELLED, "Cancelled.", "job.cancelled")
        elif limit is not None and self.clock() - self.began > limit:
            self.stop = Stop(
                Outcome.TIMED_OUT, f"Stopped after {limit} s, the time it was given.", "job.timeout"
            )
        elif self._stuck():
            self.stop = Stop(
                Outcome.LOST,
                f"The program did not reach its first line in {seconds(rules.START)}.",
                "job.start_timeout",
            )
        elif self._drained():
            self.stop = Stop(Outcome.LOST, DRAINED, "job.drained", charged=False)
        return self.stop

    def _stuck(self) -> bool:
        at = self.launched_at
        return at is not None and not self.pulse.started and self.clock() - at > rules.START

    def _drained(self) -> bool:
        at = self.supervisor.drained_at
        return at is not None and self.clock() - at > rules.DRAIN
