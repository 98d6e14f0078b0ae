"""Checkpoints: what is kept of a folder that somebody writes into, and for whom."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.storage import reset_store
from adapters.storage.local import LocalStore
from apps.jobs import attempts
from apps.jobs.checkpoints import files, keeping
from apps.jobs.checkpoints.keeping import Keeper, as_inputs, checkpoint_of, forget_old
from apps.jobs.models import Job, JobCheckpoint, JobEvent
from foundation.clock import now

pytestmark = pytest.mark.django_db


@pytest.fixture
def objects(tmp_path: Path) -> Any:
    store = LocalStore(tmp_path / "objects")
    reset_store(store)
    yield store
    reset_store()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work" / "checkpoints"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def claimed(submit: Callable[..., Job]) -> Job:
    job = attempts.claim(job_id=submit().pk, worker="w", tier=0, lease_seconds=60)
    assert job is not None
    return job


@pytest.fixture
def keeper(
    claimed: Job, folder: Path, tmp_path: Path, objects: Any, monkeypatch: pytest.MonkeyPatch
) -> Keeper:
    monkeypatch.setattr(keeping, "QUIET_SECONDS", 0.0)
    return Keeper(claimed.pk, claimed.fence, folder, tmp_path / "part")


def given(job: Job) -> dict[str, bytes]:
    """What the next attempt would be given: {path: content}."""
    found = checkpoint_of(job)
    assert found is not None
    inputs, places = as_inputs(found)
    return {place["path"]: Path(inputs[place["input"]]).read_bytes() for place in places}


def test_a_folder_is_kept_whole_and_anew_when_it_changes(claimed: Job, keeper: Keeper, folder: Path) -> None:
    assert not keeper.keep()
    assert checkpoint_of(claimed) is None
    (folder / "epoch.json").write_text("1")
    (folder / "weights").mkdir()
    (folder / "weights" / "a.bin").write_bytes(b"a" * 100)
    assert keeper.keep()
    assert not keeper.keep()
    assert given(claimed) == {"epoch.json": b"1", "weights/a.bin": b"a" * 100}
    (folder / "epoch.json").write_text("22")
    (folder / "weights" / "a.bin").unlink()
    assert keeper.keep()
    assert given(claimed) == {"epoch.json": b"22"}
    found = checkpoint_of(claimed)
    assert found is not None
    assert (found.fence, found.bytes) == (1, 2)


def test_what_nobody_refers_to_is_removed(
    claimed: Job, keeper: Keeper, folder: Path, objects: LocalStore
) -> None:
    for n in range(5):
        (folder / "model.bin").write_bytes(bytes([n]) * 50)
        (folder / "same.bin").write_bytes(b"same")
        assert keeper.keep()
        assert len(list(objects.list(keeping.prefix_of(claimed.pk)))) == 2


def test_a_file_that_is_being_written_is_left_alone_for_a_while(
    claimed: Job, keeper: Keeper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "QUIET_SECONDS", 3600.0)
    (folder / "model.bin").write_bytes(b"half")
    assert [keeper.keep() for _ in range(keeping.PATIENCE)] == [False] * keeping.PATIENCE
    assert keeper.keep()


def test_what_changes_while_it_is_copied_is_not_taken(
    claimed: Job, keeper: Keeper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.bin").write_bytes(b"a" * 10)
    (folder / "b.bin").write_bytes(b"b" * 10)
    copy = files.copy

    def slow(place: Path, seen: files.Seen, target: Path) -> str:
        digest = copy(place, seen, target)
        (folder / "a.bin").write_bytes(b"another")
        return digest

    monkeypatch.setattr(files, "copy", slow)
    assert not keeper.keep()
    assert checkpoint_of(claimed) is None
    monkeypatch.setattr(files, "copy", copy)
    assert keeper.keep()
    assert given(claimed)["a.bin"] == b"another"


def test_links_pipes_and_second_names_are_left_out(
    claimed: Job, keeper: Keeper, folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "more").write_text("geheim")
    (folder / "link").symlink_to(secret)
    (folder / "folder").symlink_to(tmp_path / "outside")
    os.link(secret, folder / "second-name")
    os.mkfifo(folder / "pipe")
    (folder / "good").write_text("good")
    assert keeper.keep()
    assert given(claimed) == {"good": b"good"}
    (folder / "good").write_text("longer")
    seen = files.look(folder)
    (folder / "good").unlink()
    (folder / "good").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic link"):
        files.copy(folder, seen[0], tmp_path / "part")


def test_an_attempt_that_is_no_longer_ours_keeps_nothing(claimed: Job, keeper: Keeper, folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"old")
    assert keeper.keep()
    Job.objects.filter(pk=claimed.pk).update(fence=2)
    (folder / "model.bin").write_bytes(b"of a zombie")
    assert not keeper.keep()
    assert keeper.stale
    assert given(claimed) == {"model.bin": b"old"}


def test_too_much_is_told_once(
    claimed: Job, keeper: Keeper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FILES_AT_MOST", 2)
    for n in range(3):
        (folder / f"{n}.bin").write_bytes(b"x")
    assert [keeper.keep(), keeper.keep()] == [False, False]
    said = JobEvent.objects.filter(job_id=claimed.pk, kind="checkpoint").values_list("message", flat=True)
    assert list(said) == ["The checkpoint holds more than 2 files, so it is not kept."]


def test_a_full_store_ends_nothing(
    claimed: Job, keeper: Keeper, folder: Path, objects: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError("no space left")

    (folder / "model.bin").write_bytes(b"x")
    monkeypatch.setattr(LocalStore, "put", full)
    assert not keeper.keep()
    monkeypatch.undo()
    monkeypatch.setattr(keeping, "QUIET_SECONDS", 0.0)
    assert keeper.keep()


def test_checkpoints_of_jobs_that_ended_long_ago_go(
    claimed: Job, keeper: Keeper, folder: Path, objects: LocalStore
) -> None:
    (folder / "model.bin").write_bytes(b"x")
    assert keeper.keep()
    assert forget_old() == 0
    ended = now() - timedelta(days=keeping.DAYS, hours=1)
    Job.objects.filter(pk=claimed.pk).update(state="failed", finished_at=ended)
    assert forget_old() == 1
    assert not JobCheckpoint.objects.exists()
    assert list(objects.list(keeping.prefix_of(claimed.pk))) == []


def test_a_folder_that_is_gone_is_nothing(claimed: Job, folder: Path, tmp_path: Path, objects: Any) -> None:
    keeper = Keeper(uuid.uuid4(), 1, tmp_path / "absent", tmp_path / "part")
    assert not keeper.keep(final=True)
