"""A disk that is really full: a small tmpfs under the attempts, then under staging and objects. Needs root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.datasets.test_upload_stage import multipart
from tests.faults.arena import Arena, until
from tests.faults.test_requests import FORM, TABLE

pytestmark = [pytest.mark.fault, pytest.mark.engine]


@contextmanager
def small(place: Path, megabytes: int) -> Iterator[None]:
    """A tmpfs over a folder."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(place)],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_under_the_attempts_ends_the_job_in_words_and_the_next_one_runs(arena: Arena) -> None:
    with small(arena.home.attempts, 8):
        filler = arena.home.attempts / "filler"
        filler.write_bytes(b"x" * (8 * 1024 * 1024 - 64 * 1024))
        full = arena.insist(size=1_000_000)
        until(lambda: arena.state(full) == "errored")
        assert arena.attempts(full)[-1][2] == "job.disk_full"
        filler.unlink()
        fits = arena.insist()
        until(lambda: arena.state(fits) == "succeeded")
        arena.settle()


def test_a_full_disk_under_an_upload_leaves_neither_bytes_nor_rows(arena: Arena) -> None:
    body = multipart(os.urandom(6_000_000), fields={"name": "large"})
    with small(arena.home.staging, 4):
        answer = arena.call("POST", arena.path("datasets"), body, headers=FORM)
        assert (answer.status, answer.body["error"]["code"]) == (503, "storage.full")
        assert os.listdir(arena.home.staging) == []
    assert arena.call("GET", arena.path("datasets/large")).status == 404


def test_a_full_object_store_refuses_the_upload_and_keeps_what_it_has(arena: Arena) -> None:
    with small(arena.home.objects, 4):
        filler = arena.home.objects / "filler"
        filler.write_bytes(b"x" * (4 * 1024 * 1024 - 8192))
        body = multipart(TABLE * 20, fields={"name": "unkept"})
        answer = arena.call("POST", arena.path("datasets"), body, headers=FORM)
        assert (answer.status, answer.body["error"]["code"]) == (503, "storage.full")
        filler.unlink()
    assert arena.call("GET", arena.path("datasets/unkept")).status == 404
