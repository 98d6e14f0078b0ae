"""Keeping the checkpoint of an attempt while it runs, giving it to the next attempt, and forgetting it in time."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from adapters.storage import get_store
from apps.jobs import rules
from apps.jobs.checkpoints import files
from apps.jobs.checkpoints.models import JobCheckpoint
from apps.jobs.models import Job, JobEvent
from apps.jobs.states import ACTIVE, TERMINAL
from foundation.clock import now
from foundation.tasks import SandboxPlan

logger = logging.getLogger(__name__)
#: A file that was written so recently may still be written to.
QUIET_SECONDS = 0.5
#: So often in a row is a folder left alone for that; then what is whole at that moment is taken.
PATIENCE = 3
DAYS = 7
INPUT = "checkpoint"


def prefix_of(job_id: uuid.UUID) -> str:
    """Where the files of a job's checkpoint lie in the object store, by their digests."""
    return f"checkpoints/{job_id.hex}"


@contextmanager
def kept(job: Job, plan: SandboxPlan, folder: Path) -> Iterator[Keeper | None]:
    """Keep the plan's folder of checkpoints, when it has one, until the block is left."""
    if not plan.checkpoint:
        yield None
        return
    keeper = Keeper(job.pk, job.fence, folder / "work" / plan.checkpoint, folder / "checkpoint.part")
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.close()


class Keeper(threading.Thread):
    """Copies a folder into the object store whenever it has changed and is whole. Never raises."""

    def __init__(self, job_id: uuid.UUID, fence: int, folder: Path, scratch: Path) -> None:
        super().__init__(daemon=True, name=f"checkpoint-{job_id}")
        self.job_id, self.fence, self.folder, self.scratch = job_id, fence, folder, scratch
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._last: tuple[files.Seen, ...] | None = None
        self._known: dict[files.Seen, str] = {}
        self._stored: set[str] = set()
        self._waited = 0
        self._told = ""
        self.stale = False

    def run(self) -> None:
        """Look again and again."""
        while not self._over.wait(rules.CHECKPOINT):
            self.keep()
        connection.close()

    def close(self) -> None:
        """No more looking; returns when a copying that goes on is done."""
        self._over.set()
        self.join()

    def keep(self, *, final: bool = False) -> bool:
        """Keep the folder as it is now, if it has changed. final: nobody writes any more. True: it was kept."""
        with self._lock:
            try:
                return not self.stale and self._keep(final)
            except files.TooMuch as error:
                self._tell(f"The checkpoint holds {error}, so it is not kept.")
            except files.Changed:
                self._waited += 1
            except FileNotFoundError:
                return False
            except Exception as error:
                logger.warning(
                    "the checkpoint of job %s is not kept: %s: %s", self.job_id, type(error).__name__, error
                )
            finally:
                with suppress(OSError):
                    self.scratch.unlink(missing_ok=True)
        return False

    def _keep(self, final: bool) -> bool:
        seen = files.look(self.folder)
        if seen == self._last or (not seen and self._last is None):
            return False
        fresh = any(time.time() - one.modified / 1e9 < QUIET_SECONDS for one in seen)
        if fresh and not final and self._waited < PATIENCE:
            self._waited += 1
            return False
        entries = [{"path": one.path, "size": one.size, "sha256": self._store(one)} for one in seen]
        if files.look(self.folder) != seen:
            raise files.Changed
        self._waited = 0
        if not self._publish(entries):
            self.stale = True
            return False
        self._last = seen
        self._known = {one: digest for one, digest in self._known.items() if one in seen}
        self._forget({str(entry["sha256"]) for entry in entries})
        return True

    def _store(self, one: files.Seen) -> str:
        known = self._known.get(one)
        if known is not None:
            return known
        digest = files.copy(self.folder, one, self.scratch)
        if digest not in self._stored:
            get_store().put(self.scratch, f"{prefix_of(self.job_id)}/{digest}", move=True)
            self._stored.add(digest)
        self._known[one] = digest
        return digest

    def _publish(self, entries: list[dict[str, Any]]) -> bool:
        """Point to these files, unless the attempt is no longer ours."""
        size = sum(int(entry["size"]) for entry in entries)
        with transaction.atomic():
            ours = Job.objects.select_for_update().filter(pk=self.job_id, fence=self.fence, state__in=ACTIVE)
            if not ours.exists():
                return False
            JobCheckpoint.objects.update_or_create(
                job_id=self.job_id,
                defaults={"fence": self.fence, "files": entries, "bytes": size, "saved_at": Now()},
            )
        return True

    def _forget(self, wanted: set[str]) -> None:
        """Remove what no checkpoint refers to any more; of earlier attempts too."""
        prefix = prefix_of(self.job_id)
        for key in list(get_store().list(prefix)):
            digest = key.rpartition("/")[2]
            if digest not in wanted:
                get_store().delete(key)
        self._stored &= wanted

    def _tell(self, sentence: str) -> None:
        """Once, in the job's timeline."""
        if sentence == self._told:
            return
        self._told = sentence
        with suppress(Exception):
            JobEvent.objects.create(
                at=Now(), job_id=self.job_id, fence=self.fence, kind="checkpoint", message=sentence
            )


def checkpoint_of(job: Job) -> JobCheckpoint | None:
    """What is kept of a job, or None."""
    return JobCheckpoint.objects.filter(job=job).first()


def as_inputs(found: JobCheckpoint) -> tuple[dict[str, str], list[dict[str, str]]]:
    """(inputs of a plan, [{"path", "input"}] for its payload): the program lays the files out itself.

    Raises NotFound when they are gone.
    """
    inputs, places = {}, []
    for number, entry in enumerate(found.files):
        name = f"{INPUT}/{number}"
        inputs[name] = str(get_store().local(f"{prefix_of(found.job_id)}/{entry['sha256']}"))
        places.append({"path": str(entry["path"]), "input": name})
    return inputs, places


def forget_old() -> int:
    """Remove the checkpoints of jobs that ended a week ago. Returns how many."""
    horizon = now() - timedelta(days=DAYS)
    due = JobCheckpoint.objects.filter(job__state__in=TERMINAL, job__finished_at__lt=horizon)
    forgotten = 0
    for found in due[:200]:
        for key in list(get_store().list(prefix_of(found.job_id))):
            get_store().delete(key)
        found.delete()
        forgotten += 1
    return forgotten
