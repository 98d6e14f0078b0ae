"""REST of deployments: shapes, permissions, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditEvent
from apps.deployments.actions import follow_alias
from apps.deployments.inferences import list_inferences
from apps.deployments.models import Deployment, InferenceLabel, Revision
from apps.jobs.models import Job
from foundation.ids import uuid7

pytestmark = pytest.mark.django_db


def post(client: Client, url: str, body: Any) -> Any:
    return client.post(url, body, content_type="application/json")


def test_deploying_makes_a_revision_and_a_job(studio: Any, source: Any) -> None:
    answer = post(studio.client(studio.owner), studio.api(), {"name": "live", "model": "churn/1"})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["state"], body["model"], body["serves"], body["revision"]) == (
        "starting",
        "churn/1",
        None,
        None,
    )
    assert body["url"].endswith("/serve/bank-churn/live/predict")
    job = Job.objects.get(pk=body["job"])
    assert job.kind == "deployments.build"
    assert Revision.objects.get().job_id == job.pk
    assert AuditEvent.objects.filter(action="deployment.create").count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "a/b", "model": "churn/1"}, 422, "name.invalid"),
        ({"name": "x" * 300, "model": "churn/1"}, 422, "name.invalid"),
        ({"name": "new", "model": "churn/1"}, 422, "name.invalid"),
        ({"name": 7, "model": "churn/1"}, 422, "name.invalid"),
        ({"model": "churn/1"}, 422, "request.missing_field"),
        ({"name": "ok", "model": "churn/1", "replicas": 2}, 422, "request.unknown_field"),
        ({"name": "ok", "model": "churn/1", "description": "a\x00b"}, 422, "text.invalid"),
        ({"name": "ok", "model": None}, 422, "request.missing_field"),
        ([], 422, "request.invalid"),
    ],
)
def test_bad_input_is_named_and_nothing_stays(
    studio: Any, source: Any, body: Any, status: int, code: str
) -> None:
    answer = post(studio.client(studio.owner), studio.api(), body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not Deployment.objects.exists()
    assert not Job.objects.exists()


@pytest.mark.parametrize("model", ["churn", "churn/0", "churn/x", "/3", "churn@", "a/b/3", 7])
def test_a_reference_of_another_form_is_refused(studio: Any, model: Any) -> None:
    answer = post(studio.client(studio.owner), studio.api(), {"name": "live", "model": model})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "deployment.model")


def test_a_second_one_of_the_name_is_a_conflict(studio: Any, source: Any, deployment: Deployment) -> None:
    answer = post(studio.client(studio.owner), studio.api(), {"name": "churn", "model": "churn/1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "deployment.duplicate")


def test_permissions_of_each_verb(studio: Any, source: Any, deployment: Deployment) -> None:
    one = studio.api("/churn")
    for user, read, write in (
        (studio.stranger, 404, 404),
        (studio.viewer, 200, 403),
        (studio.contributor, 200, 403),
        (studio.owner, 200, 200),
    ):
        client = studio.client(user)
        assert client.get(one).status_code == read
        assert post(client, f"{one}/stop", {}).status_code == write
    assert Client().get(one).status_code == 401


def test_stop_start_delete_restore(studio: Any, source: Any, deployment: Deployment) -> None:
    client = studio.client(studio.owner)
    one = studio.api("/churn")
    assert post(client, f"{one}/stop", {}).json()["state"] == "stopping"
    assert post(client, f"{one}/stop", {}).status_code == 200
    assert post(client, f"{one}/start", {}).json()["state"] == "starting"
    assert client.delete(one).status_code == 204
    assert client.get(one).status_code == 404
    assert post(client, f"{one}/restore", {}).status_code == 200
    assert client.get(one).status_code == 200
    actions = list(AuditEvent.objects.order_by("at").values_list("action", flat=True))
    assert actions == ["deployment.stop", "deployment.start", "deployment.trash", "deployment.restore"]


def test_a_change_needs_the_present_etag(studio: Any, source: Any, deployment: Deployment) -> None:
    client = studio.client(studio.owner)
    one = studio.api("/churn")
    etag = client.get(one)["ETag"]
    first = client.patch(
        one, {"description": "a"}, content_type="application/json", headers={"If-Match": etag}
    )
    assert (first.status_code, first.json()["description"]) == (200, "a")
    stale = client.patch(
        one, {"description": "b"}, content_type="application/json", headers={"If-Match": etag}
    )
    assert stale.status_code == 409


def test_another_version_is_built_beside_the_present_one(
    studio: Any, source: Any, deployment: Deployment
) -> None:
    source("churn/2", 2)
    client = studio.client(studio.owner)
    answer = client.patch(studio.api("/churn"), {"model": "churn/2"}, content_type="application/json")
    assert (answer.json()["model"], answer.json()["serves"]) == ("churn/2", "churn/1")
    states = [(r["number"], r["state"]) for r in client.get(studio.api("/churn/revisions")).json()["results"]]
    assert states == [(2, "building"), (1, "ready")]
    again = client.patch(studio.api("/churn"), {"model": "churn/2"}, content_type="application/json")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "deployment.building")


def test_a_deployment_follows_its_alias_once(studio: Any, source: Any, deployment: Deployment) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(alias="production", model_ref="churn@production")
    deployment.refresh_from_db()
    source("churn@production", 5)
    made = follow_alias(actor=studio.actor(studio.owner), deployment=deployment)
    assert made is not None
    assert made.model_label == "churn/5"
    assert follow_alias(actor=studio.actor(studio.owner), deployment=deployment) is None


@pytest.fixture
def recorded(studio: Any, deployment: Deployment, model: Any, spool: Path) -> list[str]:
    client = studio.client(studio.contributor)
    for age in range(3):
        assert client.post(studio.url("/churn/try"), {"c0": str(age), "c1": "0.5"}).status_code == 200
    return [str(i.id) for i in list_inferences(deployment).items]


def test_inferences_are_listed_page_by_page(studio: Any, recorded: list[str]) -> None:
    client = studio.client(studio.viewer)
    first = client.get(studio.api("/churn/inferences?limit=2")).json()
    assert [i["id"] for i in first["results"]] == recorded[:2]
    second = client.get(first["next"]).json()
    assert [i["id"] for i in second["results"]] == recorded[2:]
    assert second["next"] is None
    one = client.get(studio.api(f"/churn/inferences/{recorded[0]}")).json()
    assert one["features"] == {"Age": 2, "Balance": 0.5, "Geography": None}
    assert one["prediction"] == 2.5


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=x", "start=yesterday"])
def test_odd_list_parameters_are_refused(
    studio: Any, deployment: Deployment, spool: Path, query: str
) -> None:
    assert studio.client(studio.viewer).get(studio.api(f"/churn/inferences?{query}")).status_code == 422


def test_an_unknown_inference_is_not_found(studio: Any, deployment: Deployment, spool: Path) -> None:
    client = studio.client(studio.viewer)
    for odd in ("x", str(uuid7())):
        assert client.get(studio.api(f"/churn/inferences/{odd}")).status_code == 404


def test_labels_are_stored_and_the_last_one_counts(studio: Any, recorded: list[str]) -> None:
    client = studio.client(studio.contributor)
    url = studio.api("/churn/labels")
    assert post(client, url, {"labels": [{"inference_id": i, "value": 1.0} for i in recorded]}).json() == {
        "stored": 3
    }
    post(client, url, {"labels": [{"inference_id": recorded[0], "value": 2.0}]})
    assert InferenceLabel.objects.count() == 3
    shown = client.get(studio.api(f"/churn/inferences/{recorded[0]}")).json()
    assert shown["label"] == 2.0
    assert post(studio.client(studio.viewer), url, {"labels": []}).status_code == 403


def test_one_bad_label_stores_none(studio: Any, recorded: list[str]) -> None:
    client = studio.client(studio.contributor)
    good = {"inference_id": recorded[0], "value": 1.0}
    for bad, code in (
        ({"inference_id": "x", "value": 1}, "labels.invalid"),
        ({"inference_id": recorded[1]}, "labels.invalid"),
        ({"inference_id": recorded[1], "value": None}, "labels.invalid"),
        ({"inference_id": recorded[1], "value": [1]}, "labels.invalid"),
        ({"inference_id": recorded[1], "value": "high"}, "labels.invalid"),
        ({"inference_id": recorded[1], "value": True}, "labels.invalid"),
        ({"inference_id": str(uuid7()), "value": 1}, "labels.unknown"),
    ):
        answer = post(client, studio.api("/churn/labels"), {"labels": [good, bad]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
        assert "Label 1" in answer.json()["error"]["message"]
    assert not InferenceLabel.objects.exists()


def test_a_label_must_be_a_class_of_the_model(
    studio: Any, deployment: Deployment, recorded: list[str]
) -> None:
    revision = Revision.objects.get()
    Revision.objects.update(bundle={**revision.bundle, "task": "classification", "classes": [0, 1]})
    client = studio.client(studio.contributor)
    url = studio.api("/churn/labels")
    assert post(client, url, {"labels": [{"inference_id": recorded[0], "value": "1"}]}).status_code == 200
    assert InferenceLabel.objects.get().value == 1
    wrong = post(client, url, {"labels": [{"inference_id": recorded[0], "value": "maybe"}]})
    assert "not one of the model's classes (0, 1)" in wrong.json()["error"]["message"]


def test_the_log_is_read_from_an_offset(studio: Any, deployment: Deployment) -> None:
    from apps.deployments.logs import log_path

    path = log_path(deployment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"first\nsecond\xff\n")
    client = studio.client(studio.viewer)
    answer = client.get(studio.api("/churn/logs?offset=6"))
    assert answer.content.decode() == "second�\n"
    assert answer["X-Next-Offset"] == "14"
    path.unlink()
