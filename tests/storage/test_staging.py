"""The staging area: counted, hashed, bounded, and empty again when nobody claims the bytes."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.storage import factory, staging
from foundation.errors import NoSpace, TooLarge


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(factory, "_configured", ("", tmp_path))
    return tmp_path


def _stage(chunks: list[bytes], limit: int = 100, quota: int | None = None) -> staging.StagedFile:
    return staging.stage(
        chunks, filename="C:\\data\\my\ttable.csv", project_id=uuid4(), user_id=None, limit=limit, quota=quota
    )


def _left(home: Path) -> list[str]:
    return os.listdir(home / "staging")


def test_a_received_file_is_counted_and_hashed(home: Path) -> None:
    staged = _stage([b"abc", b"", b"defg"])
    assert staged.path.read_bytes() == b"abcdefg"
    assert (staged.size, staged.sha256) == (7, hashlib.sha256(b"abcdefg").hexdigest())
    assert staged.filename == "my_table.csv"
    assert staged.path.parent == home / "staging"
    staged.discard()
    staged.discard()
    assert _left(home) == []


def test_an_empty_upload_is_a_file_too(home: Path) -> None:
    assert _stage([]).size == 0


def test_too_many_bytes_leave_nothing(home: Path) -> None:
    with pytest.raises(TooLarge) as caught:
        _stage([b"x" * 60, b"x" * 60])
    assert caught.value.code == "upload.too_large"
    assert _left(home) == []


def test_a_full_staging_area_leaves_nothing_more(home: Path) -> None:
    _stage([b"x" * 60], quota=100)
    with pytest.raises(NoSpace):
        _stage([b"x" * 60], quota=100)
    assert len(_left(home)) == 1


def test_a_full_disk_leaves_nothing(home: Path) -> None:
    writer = staging.StagingWriter(limit=10**18)
    with pytest.raises(NoSpace):
        writer.reserve(10**17)
    writer.write(b"x")
    full = Path("/dev/full")
    if full.exists():
        writer._file = full.open("wb", buffering=0)
        with pytest.raises(NoSpace):
            writer.write(b"x")
        assert _left(home) == []


def test_the_sweep_takes_only_what_a_dead_request_left(home: Path) -> None:
    old, fresh = _stage([b"old"]), _stage([b"fresh"])
    past = time.time() - 10 * 3600
    os.utime(old.path, (past, past))
    assert staging.sweep() == 1
    assert not old.path.exists()
    assert fresh.path.exists()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("", "upload"), ("../../etc/passwd", "passwd"), ("a\0b.csv", "a_b.csv"), ("x" * 500, "x" * 200)],
)
def test_a_filename_is_only_words_for_people(sent: str, kept: str) -> None:
    assert staging.clean_filename(sent) == kept
