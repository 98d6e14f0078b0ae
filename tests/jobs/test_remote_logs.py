"""Logs of attempts on machines whose files the web process cannot read: sent in pieces, kept, cleared away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from adapters.storage.local import LocalStore
from apps.jobs import attempts, logs
from apps.jobs.attempts import Ending
from apps.jobs.models import Job, JobAttempt, LogPiece
from apps.jobs.states import Outcome
from apps.jobs.workers import pieces
from apps.jobs.workers.courier import Courier

pytestmark = pytest.mark.django_db


class Afar:
    """Another machine: an attempt's folder there, and its courier."""

    def __init__(self, folder: Path, job: Job) -> None:
        self.job = job
        self.path = folder / str(job.pk) / str(job.fence) / "log.txt"
        self.path.parent.mkdir(parents=True)
        self.watched = [(job.pk, job.fence)]
        self.courier = Courier(lambda: self.watched, folder)

    def prints(self, text: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)


@pytest.fixture
def afar(claimed: Callable[..., Job], tmp_path: Path) -> Afar:
    return Afar(tmp_path / "afar", claimed())


@pytest.fixture
def shared_store(monkeypatch: pytest.MonkeyPatch, store: LocalStore) -> LocalStore:
    monkeypatch.setattr("apps.jobs.workers.pieces.get_store", lambda: store)
    return store


def end(job: Job, ending: Ending) -> Job:
    done = attempts.finish(job_id=job.pk, fence=job.fence, ending=ending)
    assert done is not None
    return done


def test_what_a_job_prints_elsewhere_is_read_while_it_runs(afar: Afar) -> None:
    assert logs.read_log(afar.job).text == ""
    afar.prints("one\n")
    afar.courier.round()
    first = logs.read_log(afar.job)
    assert (first.text, first.complete) == ("one\n", False)
    afar.prints("zwei € drei\n")
    afar.courier.round()
    afar.courier.round()
    assert logs.read_log(afar.job, offset=first.next_offset).text == "zwei € drei\n"
    assert logs.read_log(afar.job).text == "one\nzwei € drei\n"


def test_pieces_of_any_size_are_joined_without_a_gap(afar: Afar) -> None:
    text = "".join(f"line {number}\n" for number in range(30_000))  # several pieces
    afar.prints(text[:100_000])
    afar.courier.round()
    afar.prints(text[100_000:])
    afar.courier.round()
    assert LogPiece.objects.count() > 3
    source = logs.source_of(afar.job, afar.job.attempts.get())
    assert source is not None
    assert source.size == len(text)
    for offset in (0, 1, 65_535, 65_536, 99_999, 100_000, len(text) - 5):
        assert source.read(offset, 70_000) == text.encode()[offset : offset + 70_000]


def test_a_courier_that_lost_its_memory_sends_nothing_twice(afar: Afar) -> None:
    afar.prints("before\n")
    afar.courier.round()
    afar.courier._sent.clear()  # as after a database that went away between sending and the answer
    afar.prints("after\n")
    afar.courier.round()
    assert logs.read_log(afar.job).text == "before\nafter\n"


def test_the_pieces_go_once_the_whole_log_is_kept(afar: Afar, shared_store: LocalStore) -> None:
    afar.prints("done\n")
    afar.courier.round()
    key, size = logs.keep(afar.path, afar.job.pk, afar.job.fence)
    end(afar.job, Ending(Outcome.CANCELLED, log_key=key, log_bytes=size))
    afar.watched.clear()
    afar.courier.round()
    assert not LogPiece.objects.exists()
    afar.job.refresh_from_db()
    assert logs.read_log(afar.job).text == "done\n"


def test_what_had_arrived_from_a_machine_that_died_stays_as_its_log(
    afar: Afar, shared_store: LocalStore
) -> None:
    afar.prints("last words\n")
    afar.courier.round()
    assert pieces.settle() == 0  # it still runs
    end(afar.job, Ending(Outcome.LOST, "The worker stopped answering.", attempts.WORKER_LOST))
    assert logs.read_log(afar.job, attempt=1).text == "last words\n"
    assert pieces.settle() == 1
    assert not LogPiece.objects.exists()
    row = JobAttempt.objects.get(job=afar.job)
    assert (row.log_key != "", row.log_bytes) == (True, 11)
    assert logs.read_log(afar.job, attempt=1).text == "last words\n"


def test_pieces_of_jobs_that_are_gone_are_removed(afar: Afar, shared_store: LocalStore) -> None:
    afar.prints("nobody asks\n")
    afar.courier.round()
    Job.objects.all().delete()
    pieces.settle()
    assert not LogPiece.objects.exists()


def test_a_log_that_is_a_link_is_not_followed(afar: Afar, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the key")
    afar.path.symlink_to(secret)
    afar.courier.round()
    assert not LogPiece.objects.exists()


def test_the_file_of_this_machine_goes_first(afar: Afar) -> None:
    here = Path(settings.CONFIG.attempts_dir) / str(afar.job.pk)
    (here / str(afar.job.fence)).mkdir(parents=True)
    try:
        (here / str(afar.job.fence) / "log.txt").write_text("from the file\n")
        assert logs.read_log(afar.job).text == "from the file\n"
    finally:
        shutil.rmtree(here)


def test_one_attempt_in_trouble_does_not_keep_the_others_from_being_read(
    afar: Afar, claimed: Callable[..., Any], tmp_path: Path
) -> None:
    afar.watched.insert(0, (claimed().pk, 1))  # its folder is not there yet
    afar.prints("seen\n")
    afar.courier.round()
    assert logs.read_log(afar.job).text == "seen\n"
