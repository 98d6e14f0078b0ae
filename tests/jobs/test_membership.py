"""A worker's membership: what it tells, what it hears, and what it refuses to start with."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from adapters.storage.local import LocalStore
from adapters.storage.mark import check_mark, leave_mark
from apps.jobs import nodes
from apps.jobs.models import Worker
from apps.jobs.workers import host
from apps.jobs.workers.membership import Membership, facts_of
from apps.jobs.workers.reachability import Probe, reach
from foundation.errors import Conflict
from tests.support.studio import free_port


@pytest.fixture
def joined(db: None, tmp_path: Path) -> tuple[Membership, list[bool]]:
    facts = facts_of(replace(settings.CONFIG, internal_url=""), tier=0)
    row = nodes.register(kind="worker", **facts)
    heard: list[bool] = []
    return Membership(row.name, facts, tmp_path, heard.append), heard


def test_it_tells_how_busy_its_machine_is(joined: tuple[Membership, list[bool]]) -> None:
    membership, heard = joined
    membership.check_in(membership.name)
    row = Worker.objects.get()
    assert set(row.about["load"]) == {"cpu_percent", "memory_used", "disk_free"}
    assert row.about["python"]
    assert row.resources["cpus"] > 0
    assert heard == []


def test_it_hears_once_that_it_shall_take_nothing_new_and_once_that_it_may(
    joined: tuple[Membership, list[bool]],
) -> None:
    membership, heard = joined
    for draining in (True, True, False, False):
        Worker.objects.update(draining=draining)
        membership.check_in(membership.name)
    assert heard == [True, False]


def test_a_row_that_was_removed_is_made_again_and_works(joined: tuple[Membership, list[bool]]) -> None:
    membership, heard = joined
    Worker.objects.update(draining=True)
    membership.check_in(membership.name)
    Worker.objects.all().delete()
    membership.check_in(membership.name)
    assert Worker.objects.get().name == membership.name
    assert heard == [True, False]


def test_what_is_said_counts_and_else_what_the_machine_has(tmp_path: Path, monkeypatch: Any) -> None:
    told = replace(settings.CONFIG, cpus=1.5, memory_bytes=10**9, gpus=3)
    assert host.offered(told) == {"cpus": 1.5, "memory_bytes": 10**9, "gpus": 3}
    monkeypatch.setattr(host, "CGROUP", tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    whole = host.offered(settings.CONFIG)
    assert whole["gpus"] == 2
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("1000000000\n")
    assert host.offered(settings.CONFIG) == {"cpus": 0.5, "memory_bytes": 800_000_000, "gpus": 2}
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert host.offered(settings.CONFIG) == whole


def test_a_store_without_the_studios_mark_is_refused(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with pytest.raises(Conflict, match="holds nothing of this studio"):
        check_mark(store, "k" * 40)
    leave_mark(store, "k" * 40)
    check_mark(store, "k" * 40)
    with pytest.raises(Conflict, match="with another key"):
        check_mark(store, "other" * 8)
    assert b"k" * 40 not in (tmp_path / "studio" / "mark").read_bytes()


class _Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/healthz": self.server.status}.get(self.path, 404))  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def web() -> Iterator[Any]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Web)
    server.status = 200  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "words"), [(200, "ready"), (400, "add it to ATELIER_ALLOWED_HOSTS"), (404, "answers 404")]
)
def test_it_says_how_web_answers(web: Any, status: int, words: str) -> None:
    web.status = status
    assert words in reach(f"http://127.0.0.1:{web.server_port}")


def test_it_says_that_nobody_answers_and_looks_again_later() -> None:
    probe = Probe(f"http://127.0.0.1:{free_port()}")
    assert "does not answer" in probe.look()
    assert "set ATELIER_INTERNAL_URL" in probe.finding
    probe.look_again()
    assert probe._thread is None  # not before it is time
