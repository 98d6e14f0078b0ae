"""A disk that is really full: a small tmpfs stands for the studio's home. Needs root, else skipped."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.storage import factory
from adapters.storage.local import LocalStore
from adapters.storage.staging import StagingArea
from foundation.errors import NoSpace
from gateway.uploads import UploadStage
from tests.datasets.test_upload_stage import PORTS, Django, multipart, request

MEGABYTE = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs is not allowed here")
    monkeypatch.setattr(factory, "_configured", ("", place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_that_does_not_fit_is_refused_and_leaves_nothing(small_disk: Path, announced: bool) -> None:
    django = Django()
    body = multipart(os.urandom(8 * MEGABYTE))
    answer = request(UploadStage(django, PORTS, StagingArea()), body, length=-1 if announced else None)
    assert (answer.status, answer.error["code"]) == (503, "storage.full")
    assert django.calls == []
    assert os.listdir(small_disk / "staging") == []


def test_a_store_on_a_full_disk_keeps_what_it_has(small_disk: Path, tmp_path: Path) -> None:
    store = LocalStore(small_disk / "objects")
    store.put_bytes(b"old", "kept")
    large = tmp_path / "large"
    large.write_bytes(os.urandom(8 * MEGABYTE))
    for key in ("kept", "new"):
        with pytest.raises(NoSpace):
            store.put(large, key)
    assert store.local("kept").read_bytes() == b"old"
    assert list(store.list("")) == ["kept"]
    assert [path.name for path in (small_disk / "objects").iterdir()] == ["kept"]
