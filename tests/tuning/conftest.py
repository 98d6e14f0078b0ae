"""Set-up of the tests of tuning: a worker in this process that brings trials to their end, and a coordinator that
is called by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from adapters.executors.inprocess import InProcessExecutor
from adapters.search import use_search
from adapters.search.fake import FakeSearch
from apps.jobs import rules
from apps.jobs.heart import Heart
from apps.jobs.supervisor import Supervisor
from tests.experiments.conftest import TrackedLog
from tests.support.people import People
from tests.tuning.studies import made_study, store, table

__all__ = ["made_study", "store", "table"]


@pytest.fixture
def fake_search() -> Iterator[FakeSearch]:
    """The twin in place of Optuna."""
    search = FakeSearch()
    with use_search(search):
        yield search


Step = Callable[[Any], Any]


@pytest.fixture
def advance() -> Step:
    """One step of the coordinator; answers the study as it is then."""
    from apps.tuning.coordinator import advance_all

    def step(study: Any) -> Any:
        advance_all()
        study.refresh_from_db()
        return study

    return step


@pytest.fixture
def worker(
    people: People, fake_tracking: Any, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Any], Any]]:
    """worker(trial): a worker takes the trial's job and brings it to its end; answers the trial."""
    from apps.tuning.models import Trial
    from apps.tuning.reporting import record_report
    from apps.tuning.sandbox import trial as program

    def sender(log: Any) -> Any:
        run_id = current[0]

        def send(step: int | None, value: float) -> dict[str, Any]:
            try:
                trial = Trial.objects.select_related("study", "run__job").get(run_id=run_id)
                return record_report(trial=trial, step=step, value=value)
            finally:
                connection.close()  # the program has a thread of its own

        return send

    current: list[Any] = []
    monkeypatch.setattr(rules, "LOOK", 0.05)
    monkeypatch.setattr(program, "run_log", lambda run_id: TrackedLog(fake_tracking, store, run_id))
    monkeypatch.setattr(program, "sender", sender)
    heart = Heart("w-tuning")
    heart.start()
    supervisor = Supervisor("w-tuning", InProcessExecutor(), heart, tmp_path / "attempts")

    def run_to_end(trial: Any) -> Any:
        current[:] = [trial.run_id]
        assert supervisor.run(trial.run.job_id), "the job was not to be had"
        return Trial.objects.select_related("run__job", "study").get(pk=trial.pk)

    yield run_to_end
    heart.stop()
