"""How often each page of deployments asks the database, however much there is to show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.deployments.models import Deployment, EventImport, Revision
from apps.deployments.states import RevisionState
from apps.deployments.tryit import predict_once
from foundation.ids import uuid7

pytestmark = pytest.mark.django_db


def queries_of(client: Any, path: str) -> int:
    """The first look is left out: it also fills caches."""
    assert client.get(path).status_code == 200, path
    with CaptureQueriesContext(connection) as captured:
        client.get(path)
    return len(captured)


def test_every_page_keeps_to_its_budget(
    studio: Any, deployment: Deployment, model: Any, source: Any, spool: Path
) -> None:
    answer = predict_once(deployment, {"Age": 40, "Balance": 1.5}, request_id="r")
    for number in range(2, 32):
        Revision.objects.create(
            deployment=deployment, number=number, model_name="churn", model_version=number,
            model_version_id=uuid7(), state=RevisionState.FAILED, created_by=studio.owner,
        )  # fmt: skip
        EventImport.objects.create(
            deployment=deployment,
            filename=f"{number}.csv",
            sha256=f"{number:064}",
            size=1,
            created_by=studio.owner,
        )
        Deployment.objects.create(
            project=studio.project, created_by=studio.owner, name=f"d{number}", model_ref="churn/1",
            model_name="churn", state="stopped", wanted="stopped",
        )  # fmt: skip
    budgets = {
        "/": 14,
        "/new": 12,
        "/churn": 18,
        "/churn?fragment=status": 12,
        "/churn?fragment=live": 14,
        "/churn/try": 14,
        "/churn/inferences": 18,
        f"/churn/inferences/{answer.inference_id}": 18,
        "/churn/feedback": 20,
        "/churn/logs": 14,
    }
    client = studio.client(studio.owner)
    found = {path: queries_of(client, studio.url(path)) for path in budgets}
    assert {path: count for path, count in found.items() if count > budgets[path]} == {}
