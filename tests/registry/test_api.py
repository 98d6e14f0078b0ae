"""The REST API of models, versions and promotions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.experiments.models import Run
from apps.registry import promoting
from apps.registry.models import ModelVersion, Promotion
from tests.registry.conftest import PASSED
from tests.support.people import People

pytestmark = pytest.mark.django_db
BASE = "/api/v1/projects/shop"


def test_the_whole_way_of_a_model(people: People, make_run: Callable[..., Run]) -> None:
    api, maintainer = people.api("contributor"), people.api("maintainer")
    made = api.post(f"{BASE}/models", {"name": "churn"}, format="json")
    assert (made.status_code, made.json()["name"]) == (201, "churn")
    run = make_run()
    version = api.post(f"{BASE}/models/churn/versions", {"run": run.hex}, format="json")
    assert version.status_code == 201
    assert (version.json()["version"], version.json()["run"], version.json()["state"]) == (
        1,
        run.hex,
        "ready",
    )
    asked = api.post(
        f"{BASE}/models/churn/versions/1/promotions", {"to": "production", "comment": "please"}, format="json"
    )
    assert (asked.status_code, asked.json()["state"], asked.json()["checks"]) == (201, "checking", [])
    promotion = Promotion.objects.get()
    promoting.finish_checks(promotion=promotion, checks=PASSED)
    address = f"{BASE}/promotions/{promotion.pk}"
    assert api.get(address).json()["state"] == "awaiting_approval"
    assert api.get(f"{BASE}/promotions?state=awaiting_approval").json()["results"][0]["id"] == str(
        promotion.pk
    )
    assert api.post(f"{address}/approve").status_code == 403
    approved = maintainer.post(f"{address}/approve", {"comment": "yes"}, format="json")
    assert (approved.status_code, approved.json()["state"]) == (200, "applied")
    assert maintainer.post(f"{address}/approve", {}, format="json").status_code == 409
    model = api.get(f"{BASE}/models/churn").json()
    assert (model["aliases"], model["latest_version"], model["versions"]) == ({"production": 1}, 1, 1)
    assert api.get(f"{BASE}/models/churn/versions/1").json()["aliases"] == ["production"]
    assert maintainer.delete(f"{BASE}/models/churn/aliases/production").status_code == 204


def test_a_model_is_changed_with_etags_trashed_and_restored(people: People) -> None:
    api = people.api("contributor")
    api.post(f"{BASE}/models", {"name": "churn"}, format="json")
    assert api.post(f"{BASE}/models", {"name": "churn"}, format="json").status_code == 409
    etag = api.get(f"{BASE}/models/churn")["ETag"]
    changed = api.patch(f"{BASE}/models/churn", {"description": "x"}, format="json", HTTP_IF_MATCH=etag)
    assert changed.status_code == 200
    stale = api.patch(f"{BASE}/models/churn", {"description": "y"}, format="json", HTTP_IF_MATCH=etag)
    assert stale.status_code == 409
    assert api.delete(f"{BASE}/models/churn").status_code == 204
    assert api.get(f"{BASE}/models/churn").status_code == 404
    assert [m["name"] for m in api.get(f"{BASE}/models?trashed=true").json()["results"]] == ["churn"]
    assert api.post(f"{BASE}/models/churn/restore").status_code == 200
    assert [m["name"] for m in api.get(f"{BASE}/models?q=hur").json()["results"]] == ["churn"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("post", "/models", {}, 422, "request.missing_field"),
        ("post", "/models", {"name": "a/b"}, 422, "name.invalid"),
        ("post", "/models", {"name": "b", "color": 1}, 422, "request.unknown_field"),
        ("post", "/models", [1], 422, "request.invalid"),
        ("get", "/models/nothing", None, 404, "model.not_found"),
        ("get", "/models/churn/versions/9", None, 404, "model.version_not_found"),
        ("get", "/models/churn/versions/x", None, 404, "model.version_not_found"),
        ("post", "/models/churn/versions", {"run": "f" * 32}, 404, "run.not_found"),
        ("post", "/models/churn/versions", {}, 422, "request.missing_field"),
        ("post", "/models/churn/versions/1/promotions", {"to": "best"}, 422, "promotion.alias"),
        ("post", "/models/churn/versions/1/promotions", {"to": "staging", "comment": 3}, 422, "text.invalid"),
        ("get", "/promotions/nothing", None, 404, "promotion.not_found"),
        ("get", "/promotions?state=odd", None, 422, "list.state"),
        ("get", "/models?limit=0", None, 422, "list.limit"),
        ("get", "/models?order_by=secret", None, 422, "list.order_by"),
    ],
)
def test_mistakes_get_a_code_and_a_sentence(
    people: People,
    make_version: Callable[..., ModelVersion],
    method: str,
    path: str,
    body: Any,
    status: int,
    code: str,
) -> None:
    make_version()
    answer = getattr(people.api("contributor"), method)(BASE + path, body, format="json")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert error["message"].endswith((".", "…"))


def test_strangers_find_nothing_and_viewers_change_nothing(
    people: People, make_version: Callable[..., ModelVersion], promote: Callable[..., Promotion]
) -> None:
    promotion = promote(make_version())
    stranger, viewer = people.api("stranger"), people.api("viewer")
    for path in ("/models", "/models/churn", "/models/churn/versions/1", f"/promotions/{promotion.pk}"):
        assert stranger.get(BASE + path).status_code == 404
        assert viewer.get(BASE + path).status_code == 200
    elsewhere = f"/api/v1/projects/else/promotions/{promotion.pk}"
    assert stranger.get(elsewhere).status_code == 404
    assert stranger.post(f"{elsewhere}/approve").status_code == 404
    assert viewer.post(f"{BASE}/promotions/{promotion.pk}/reject").status_code == 403
    assert viewer.delete(f"{BASE}/models/churn").status_code == 403
