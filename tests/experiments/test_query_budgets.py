"""Pages of experiments and runs ask the database a bounded number of times, however many rows they show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext

from apps.experiments.models import Run
from tests.experiments.conftest import MakeVersion
from tests.support.people import People

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/p/shop/experiments"


@pytest.fixture
def finished_run(
    make_version: MakeVersion, start: Callable[..., Run], finish: Callable[[Run], Run], fake_tracking: Any
) -> Run:
    """A trained run beside thirty queued ones in three experiments, with metrics and tags."""
    make_version()
    first = finish(start(parameters={"max_iter": 50}))
    for n in range(30):
        run = start(experiment=f"e-{n % 3}", tags={"team": "a"})
        fake_tracking.log(run.hex, "accuracy", {0: n / 30})
    return first


def queries_of(client: Any, path: str) -> int:
    """How often a page asks the database; the first look is left out, which also fills caches."""
    from django.db import connection

    assert client.get(path).status_code == 200, path
    with CaptureQueriesContext(connection) as captured:
        client.get(path)
    return len(captured)


def test_every_page_keeps_to_its_budget(people: People, finished_run: Run) -> None:
    run = f"{BASE}/runs/{finished_run.hex}"
    others = [key.hex for key in Run.objects.values_list("pk", flat=True)[:10]]
    budgets = {
        f"{BASE}/": 15,
        f"{BASE}/create": 11,
        f"{BASE}/runs/": 12,
        f"{BASE}/runs/?fragment=1": 8,
        f"{BASE}/runs/?filter=metrics.accuracy > 0.5&state=failed": 13,
        f"{BASE}/{finished_run.experiment.mlflow_id}/": 14,
        f"{BASE}/new": 15,
        f"{BASE}/new?from={finished_run.hex}": 16,
        f"{BASE}/compare?" + "&".join(f"run={one}" for one in others): 14,
        "/api/v1/projects/shop/runs": 12,
        "/api/v1/projects/shop/experiments": 12,
        **{f"{run}/{tab}": 19 for tab in ("", "curves", "figures", "artifacts", "logs", "model", "environment", "lineage")},
    }  # fmt: skip
    client = people.client("contributor")
    found = {path: queries_of(client, path) for path in budgets}
    assert {path: count for path, count in found.items() if count > budgets[path]} == {}
