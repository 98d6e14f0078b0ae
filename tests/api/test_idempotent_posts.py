"""Every POST of the REST API takes an Idempotency-Key, and the OpenAPI document says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from drf_spectacular.generators import SchemaGenerator

from apps.accounts.models import ApiToken, AuditEvent, Project
from apps.datasets.models import Dataset, DatasetVersion
from apps.experiments.models import Run
from apps.jobs.models import Job
from tests.authorization.routes import Route, all_routes
from tests.authorization.table import READS_BY_POST
from tests.support.datasets import ready_version
from tests.support.people import People

SHOP = "/api/v1/projects/shop"
CREATED: dict[str, dict[str, Any]] = {  # what an owner makes in a project with the dataset churn, by address
    "/api/v1/teams": {"slug": "green", "name": "Green"},
    "/api/v1/projects": {"slug": "second", "name": "Second", "team": "red"},
    "/api/v1/teams/red/tokens": {"name": "laptop", "scope": "read", "project": "shop"},
    "/api/v1/teams/red/invitations": {"email": "new@example.org", "role": "viewer"},
    f"{SHOP}/experiments": {"name": "one"},
    f"{SHOP}/models": {"name": "churn"},
    f"{SHOP}/runs": {"experiment": "one", "dataset": "churn", "target": "left", "algorithm": "linear"},
    f"{SHOP}/studies": {
        "name": "forest",
        "dataset": "churn",
        "target": "left",
        "algorithm": "random_forest",
        "search_space": {"n_estimators": {}},
        "objectives": [{"metric": "accuracy"}],
        "n_trials": 3,
    },
    f"{SHOP}/pipelines": {
        "name": "nightly",
        "nodes": [{"name": "check", "kind": "dataset_check", "with": {"dataset": "churn"}}],
    },
}


def posts() -> list[Route]:
    """Routes of the API that change something by POST."""
    return [
        route
        for route in all_routes()
        if route.name.startswith("api/v1/")
        and "POST" in (route.methods or ())
        and (route.name, "POST") not in READS_BY_POST
    ]


def test_every_post_answers_a_key_once(people: People) -> None:
    """Whatever the answer is: the second is the first, and another body is refused. Objects need not exist."""
    wrong, asked = [], 0
    for number, route in enumerate(posts()):
        client = people.api("owner")
        headers = {"Idempotency-Key": f"key {number}"}
        first, second, other = (
            client.post(route.address, body, format="json", headers=headers) for body in ({}, {}, {"a": 1})
        )
        refused_before = first.status_code == 404 and route.name.endswith("{project}/restore")
        asked += not refused_before
        again = (
            second.get("Idempotent-Replayed") == "true"
            and (second.status_code, second.content) == (first.status_code, first.content)
            and other.status_code == 422
            and json.loads(other.content)["error"]["code"] == "idempotency.mismatch"
        )
        if not again and not refused_before:
            wrong.append((route.name, first.status_code, second.status_code, other.status_code))
    assert wrong == []
    assert asked > 40


@pytest.fixture
def shop(people: People, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> People:
    """The personas, and a store of the test's own."""
    from adapters.storage import factory

    monkeypatch.setattr(factory, "_configured", ("", tmp_path))
    return people


def rows() -> tuple[int, ...]:
    """How much there is of what a request leaves behind."""
    return tuple(model.objects.count() for model in (AuditEvent, ApiToken, Project, Job, Run))


def test_what_is_made_is_made_once(shop: People) -> None:
    ready_version(shop)
    client, headers = shop.api("owner"), {"Idempotency-Key": "once"}
    for path, body in CREATED.items():
        before, first = rows(), client.post(path, body, format="json", headers=headers)
        after = rows()
        assert first.status_code == 201, (path, first.content)
        assert after != before
        for _ in range(2):
            again = client.post(path, body, format="json", headers=headers)
            assert (again.status_code, again.content) == (201, first.content)
        assert rows() == after


def test_an_upload_is_kept_once(shop: People) -> None:
    """A file counts by its bytes: the boundary of the form differs each time."""
    client = shop.api("contributor")

    def send(content: bytes, key: str = "upload") -> Any:
        body = {"name": "churn", "file": SimpleUploadedFile("a.csv", content)}
        return client.post(f"{SHOP}/datasets", body, format="multipart", headers={"Idempotency-Key": key})

    first, second, other = send(b"a,b\n1,2\n"), send(b"a,b\n1,2\n"), send(b"a,b\n3,4\n")
    assert (first.status_code, second.status_code, other.status_code) == (201, 201, 422)
    assert first.json()["job"] == second.json()["job"]
    assert Dataset.objects.count() == DatasetVersion.objects.count() == Job.objects.count() == 1
    assert send(b"a,b\n1,2\n", key="another").json()["error"]["code"] == "dataset.exists"


def test_the_document_says_so(db: None) -> None:
    generator: Any = SchemaGenerator
    document = generator().get_schema(request=None, public=True)
    without = {
        path
        for path, operations in document["paths"].items()
        if "post" in operations
        and "Idempotency-Key" not in [one["name"] for one in operations["post"].get("parameters", ())]
    }
    assert without == {f"/{name}" for name, _ in READS_BY_POST}
