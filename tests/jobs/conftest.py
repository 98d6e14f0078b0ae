"""Fixtures of the job engine's tests."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.executors.inprocess import InProcessExecutor
from adapters.storage.local import LocalStore
from apps.jobs import actions, attempts, nodes, rules
from apps.jobs.handlers import forget
from apps.jobs.heart import Heart
from apps.jobs.models import Job, Worker
from apps.jobs.supervisor import Supervisor
from tests.jobs import kinds


@pytest.fixture
def ledger() -> Iterator[dict[str, list[Any]]]:
    kinds.LEDGER.clear()
    kinds.register()
    yield kinds.LEDGER
    forget("test.sandbox")
    forget("test.platform")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalStore:
    """The object store of the test, in a folder of its own."""
    store = LocalStore(tmp_path / "store")
    monkeypatch.setattr("apps.jobs.logs.get_store", lambda: store)
    return store


@pytest.fixture
def submit(ledger: dict[str, list[Any]]) -> Callable[..., Job]:
    """Submit a test job: submit(program="echo", plan={...}, ...options of submit)."""

    def make(kind: str = "test.sandbox", *, spec: dict[str, Any] | None = None, **options: Any) -> Job:
        known = {"project", "created_by", "title", "subject", "queue", "priority", "timeout", "user_retries"}
        known |= {"not_before", "parent", "job_id", "placement"}
        chosen = {key: options.pop(key) for key in list(options) if key in known}
        return actions.submit(
            kind=kind,
            spec={**(spec or {}), **options},
            **{"project": None, "created_by": None, "title": "A test", **chosen},
        )

    return make


@pytest.fixture
def worker() -> Callable[..., Worker]:
    """A living worker: worker(queues=["cpu"], tier=0, resources={}, …)."""

    def make(**about: Any) -> Worker:
        return nodes.register(**{"kind": "worker", "queues": ["cpu"], "slots": 2, **about})

    return make


@pytest.fixture
def claimed(submit: Callable[..., Job]) -> Callable[..., Job]:
    """A job that a worker holds."""

    def make(worker: str = "w1", lease: float = 60.0, **options: Any) -> Job:
        job = submit(**options)
        held = attempts.claim(job_id=job.pk, worker=worker, tier=0, lease_seconds=lease)
        assert held is not None
        return held

    return make


@pytest.fixture
def make_supervisor(
    ledger: dict[str, list[Any]], store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Supervisor]]:
    """Supervisors with a beating heart, on the fake executor unless told otherwise."""
    monkeypatch.setattr(rules, "LOOK", 0.05)
    hearts: list[Heart] = []

    def make(executor: Any = None, *, name: str = "", beating: bool = True) -> Supervisor:
        worker = name or f"w-{uuid.uuid4().hex[:6]}"
        heart = Heart(worker)
        if beating:
            heart.start()
            hearts.append(heart)
        return Supervisor(worker, executor or InProcessExecutor(), heart, tmp_path / "attempts")

    yield make
    for heart in hearts:
        heart.stop()


@pytest.fixture
def in_thread() -> Iterator[Callable[..., threading.Thread]]:
    """Run a function in a thread that gives its database connection back; joined at the end."""
    threads: list[threading.Thread] = []

    def start(function: Callable[..., Any], *args: Any) -> threading.Thread:
        def body() -> None:
            from django.db import connection

            try:
                function(*args)
            finally:
                connection.close()

        thread = threading.Thread(target=body)
        thread.start()
        threads.append(thread)
        return thread

    yield start
    for thread in threads:
        thread.join(30)
