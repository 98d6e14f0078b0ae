"""How often each page of a monitor asks the database, however many windows and reports there are."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.monitoring.models import Alert
from tests.monitoring.conftest import Watched

pytestmark = pytest.mark.django_db


def queries_of(client: Any, path: str) -> int:
    """The first look is left out: it also fills caches."""
    assert client.get(path).status_code == 200, path
    with CaptureQueriesContext(connection) as captured:
        client.get(path)
    return len(captured)


def test_every_page_keeps_to_its_budget(watched: Watched) -> None:
    for day in range(3):
        watched.record(150, day=day, age=60, seed=day + 1)
    monitor = watched.monitor()
    report = [watched.report(monitor, days=3) for _ in range(2)][-1]
    for number in range(20):
        watched.monitor(name=f"m{number}")
    assert Alert.objects.count() >= 3
    budgets = {
        "": 14,
        "/new": 14,
        "/watch": 27,
        "/watch?fragment=1": 22,
        "/watch/alerts": 18,
        "/watch/reports": 18,
        f"/watch/reports/{report.pk}": 18,
        "/watch/settings": 18,
    }
    client = watched.people.client("contributor")
    found = {path: queries_of(client, watched.url(path)) for path in budgets}
    assert {path: count for path, count in found.items() if count > budgets[path]} == {}
