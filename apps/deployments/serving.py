"""The serving process: keeps deployed models running, and seals recorded inferences.

`main(config)` is what `manage.py serving` calls after Django is set up. One process per home: a second one
waits for the lock of the first, so that a restarted process takes over as soon as the old one is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Container, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, InterfaceError, close_old_connections

from adapters.serving import ModelServer, get_server
from apps.deployments import reports, segments
from apps.deployments.models import Revision
from apps.deployments.reconcile import Places, Reconciler
from apps.deployments.states import USABLE, RevisionState
from apps.deployments.subscriptions import follow
from apps.jobs import nodes

logger = logging.getLogger(__name__)

T = TypeVar("T")
POLL_SECONDS = 0.4
BEAT_SECONDS = 5.0
SEAL_SECONDS = 2.0
FOLLOW_SECONDS = 20.0
TIDY_SECONDS = 10.0
POOL_THREADS = 16


def main(config: Any, *, server: ModelServer | None = None, stop: threading.Event | None = None) -> int:
    """Run until SIGTERM or SIGINT (or `stop` is set). config: runtime.config.Config. Returns 0."""
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    places = make_places(config)
    with only_one(Path(config.run_dir) / "serving.lock", stop) as first:
        if not first:
            return 0
        run(places, server or get_server(), stop, generation=str(getattr(config, "generation", "")))
    return 0


def make_places(config: Any) -> Places:
    """The folders below HOME; sockets lie in the studio's short private folder."""
    sockets = Path(config.socket_dir or config.run_dir) / "m"
    if len(os.fsencode(sockets)) > 80:
        sockets = Path(tempfile.mkdtemp(prefix="atelier-m-"))
    return Places(
        models=Path(config.home) / "models",
        sockets=sockets,
        logs=Path(config.log_dir) / "deployments",
        records=Path(config.run_dir) / "models",
    )


@contextlib.contextmanager
def only_one(path: Path, stop: threading.Event) -> Iterator[bool]:
    """Hold the lock of the home; wait for it while another process has it. False when told to stop first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(0.2):
                    yield False
                    return
        yield True


def run(places: Places, server: ModelServer, stop: threading.Event, *, generation: str = "") -> None:
    """The loop. Errors of the database are waited out: models go on answering meanwhile."""
    for folder in (places.models, places.sockets, places.logs, places.records):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    swept = server.sweep(places.records)
    if swept:
        logger.warning("ended %d model processes of an earlier generation", len(swept))
    _until_done(begin(places), stop)
    heart = _until_done(lambda: Heart(generation), stop)
    if heart is None:
        return
    with ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="serving") as pool:
        reconciler = Reconciler(server=server, pool=pool, places=places, fetch=fetch_bento)
        chores = (
            Chore(pool, segments.seal_all, SEAL_SECONDS),
            Chore(pool, follow, FOLLOW_SECONDS),
            Chore(pool, lambda: tidy(places, reconciler.slots), TIDY_SECONDS),
        )
        while not stop.is_set():
            try:
                reconciler.step()
                for chore in chores:
                    chore.step()
                heart.beat()
            except (DatabaseError, InterfaceError):
                logger.exception("the database does not answer; trying again")
                stop.wait(1.0)
            except Exception:
                logger.exception("a step of the serving process failed")
            finally:
                close_old_connections()
            stop.wait(POLL_SECONDS)
        reconciler.stop_all()
        with contextlib.suppress(DatabaseError, InterfaceError):
            reports.forget_processes()
            heart.stop()


def begin(places: Places) -> Callable[[], None]:
    """The first work of a generation: no revision runs yet, and everything but needed Bentos is removed."""

    def work() -> None:
        reports.forget_processes()
        needed = needed_bentos()
        for folder in places.models.iterdir():
            if _revision_of(folder) not in needed:
                shutil.rmtree(folder, ignore_errors=True)

    return work


def needed_bentos() -> set[UUID]:
    """The revisions that may be started: those of deployments that nobody deleted, replaced ones left out."""
    return set(
        Revision.objects.filter(
            state__in=[*USABLE, RevisionState.DRAINING],
            deployment__deleted_at__isnull=True,
            deployment__project__deleted_at__isnull=True,
        ).values_list("pk", flat=True)
    )


def tidy(places: Places, in_use: Container[UUID]) -> int:
    """Remove the copies of Bentos that neither run nor may be started any more; how many.

    in_use: revisions that have a model process. A copy loses its name at once, so that a revision that is
    started again at this moment copies its Bento anew rather than running from half a folder.
    """
    folders = {folder: _revision_of(folder) for folder in places.models.iterdir()}
    needed = needed_bentos()
    removed = 0
    for folder, revision in folders.items():
        if revision is not None and revision not in needed and revision not in in_use:
            with contextlib.suppress(FileNotFoundError):
                gone = folder.rename(folder.with_name(f"{folder.name}.gone"))
                shutil.rmtree(gone, ignore_errors=True)
                removed += 1
    return removed


def _revision_of(folder: Path) -> UUID | None:
    """Whose Bento a folder is; None for anything else (scratch folders, half copies)."""
    try:
        return UUID(folder.name)
    except ValueError:
        return None


def _until_done(work: Callable[[], T], stop: threading.Event) -> T | None:
    """The result of work that needs the database, however long that takes; None when told to stop first."""
    while not stop.is_set():
        try:
            return work()
        except (DatabaseError, InterfaceError):
            logger.exception("the database does not answer; trying again")
            close_old_connections()
            stop.wait(1.0)
    return None


def fetch_bento(revision: Revision, folder: Path) -> None:
    """Copy a revision's Bento from the object store into a folder."""
    from adapters.storage import get_store

    store = get_store()
    prefix = revision.bento_prefix.rstrip("/") + "/"
    found = 0
    for key in store.list(prefix):
        target = folder / key.removeprefix(prefix)
        target.parent.mkdir(parents=True, exist_ok=True)
        store.get(key, target)
        found += 1
    if not found:
        raise FileNotFoundError(f"the object store holds nothing below {prefix}")


class Chore:
    """Work that is done in the background every so many seconds, one pass at a time."""

    def __init__(self, pool: ThreadPoolExecutor, work: Callable[[], int], every: float) -> None:
        self.pool = pool
        self.work = work
        self.every = every
        self.due = 0.0
        self.running: Future[int] | None = None

    def step(self) -> None:
        """Begin a pass when it is time."""
        if self.running is not None and self.running.done():
            error = self.running.exception()
            if error is not None:
                logger.error("a chore of the serving process failed", exc_info=error)
            self.running = None
        if self.running is None and time.monotonic() >= self.due:
            self.due = time.monotonic() + self.every
            self.running = self.pool.submit(self._pass)

    def _pass(self) -> int:
        try:
            return self.work()
        finally:
            close_old_connections()


class Heart:
    """Tells /readyz that this process lives."""

    def __init__(self, generation: str) -> None:
        self.name = nodes.register(kind="serving", generation=generation).name
        self.due = 0.0

    def beat(self) -> None:
        """A sign of life, every BEAT_SECONDS at most."""
        if time.monotonic() >= self.due:
            nodes.beat(self.name)
            self.due = time.monotonic() + BEAT_SECONDS

    def stop(self) -> None:
        """Say goodbye."""
        nodes.say_stopped(self.name)
