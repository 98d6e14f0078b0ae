"""The pages: who sees them, what they show, and that their forms work without JavaScript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.deployments.inferences import list_inferences
from apps.deployments.models import Deployment, InferenceLabel

pytestmark = pytest.mark.django_db

PAGES = [
    "",
    "/churn",
    "/churn/try",
    "/churn/inferences",
    "/churn/feedback",
    "/churn/logs",
    "/churn?fragment=facts",
    "/churn?fragment=live",
    "/churn?fragment=call",
]


@pytest.mark.parametrize("path", PAGES)
def test_members_see_the_page_and_strangers_do_not(
    studio: Any, deployment: Deployment, source: Any, spool: Path, path: str
) -> None:
    for user in (studio.owner, studio.contributor, studio.viewer):
        assert studio.client(user).get(studio.url(path), follow=True).status_code == 200
    assert studio.client(studio.stranger).get(studio.url(path), follow=True).status_code == 404


def test_the_empty_list_says_what_to_do(studio: Any) -> None:
    page = studio.client(studio.owner).get(studio.url("/")).content.decode()
    assert "Nothing is deployed yet" in page
    assert "Deploy a model" in page


def test_the_overview_shows_address_snippets_and_revisions(
    studio: Any, deployment: Deployment, source: Any
) -> None:
    page = studio.client(studio.owner).get(studio.url("/churn")).content.decode()
    assert "/serve/bank-churn/churn/predict" in page
    assert "Authorization: Bearer $ATELIER_TOKEN" in page
    assert "churn/1" in page


def test_only_maintainers_deploy_stop_and_trash(studio: Any, deployment: Deployment, source: Any) -> None:
    for path in ("/new", "/churn/stop", "/churn/trash", "/churn/change", "/churn/edit"):
        data = {"name": "x", "model": "churn/1"}
        assert studio.client(studio.contributor).post(studio.url(path), data).status_code == 403
    deployment.refresh_from_db()
    assert deployment.wanted == "running"


def test_the_form_deploys_a_model(studio: Any, source: Any, deployment: Deployment) -> None:
    client = studio.client(studio.owner)
    assert "churn version 1" in client.get(studio.url("/new")).content.decode()
    filled = client.get(studio.url("/new?model=churn/1")).content.decode()
    assert 'value="churn-2"' in filled, "the name churn is taken"
    answer = client.post(studio.url("/new"), {"name": "live", "model": "churn/1", "description": ""})
    assert answer.status_code == 302
    assert answer["Location"].endswith("/deployments/live")
    assert client.get(answer["Location"], follow=True).status_code == 200


def test_a_bad_name_is_shown_at_its_field(studio: Any, source: Any) -> None:
    answer = studio.client(studio.owner).post(studio.url("/new"), {"name": "a/b", "model": "churn/1"})
    assert answer.status_code == 422
    assert "may hold letters" in answer.content.decode()


def test_the_try_form_predicts_and_the_inference_has_a_page(
    studio: Any, deployment: Deployment, model: Any, spool: Path
) -> None:
    assert studio.client(studio.viewer).post(studio.url("/churn/try"), {"c0": "1"}).status_code == 403
    client = studio.client(studio.contributor)
    form = client.get(studio.url("/churn/try")).content.decode()
    assert 'value="42"' in form
    assert 'value="Spain"' in form
    page = client.post(studio.url("/churn/try"), {"c0": "40", "c1": "2.5", "c2": ""}).content.decode()
    assert "42.5" in page
    [recorded] = list_inferences(deployment).items
    assert dict(recorded.features) == {"Age": 40, "Balance": 2.5, "Geography": None}
    detail = client.get(studio.url(f"/churn/inferences/{recorded.id}"))
    assert detail.status_code == 200
    assert "42.5" in detail.content.decode()
    assert str(recorded.id) in client.get(studio.url("/churn/inferences")).content.decode()


def test_the_try_form_names_a_value_that_does_not_fit(
    studio: Any, deployment: Deployment, model: Any, spool: Path
) -> None:
    answer = studio.client(studio.contributor).post(studio.url("/churn/try"), {"c0": "forty", "c1": "2.5"})
    assert answer.status_code == 422
    assert "Some values do not fit" in answer.content.decode()
    assert list_inferences(deployment).items == []


def test_a_label_can_be_told_on_the_inference_page(
    studio: Any, deployment: Deployment, model: Any, spool: Path
) -> None:
    client = studio.client(studio.contributor)
    client.post(studio.url("/churn/try"), {"c0": "40", "c1": "2.5"})
    [recorded] = list_inferences(deployment).items
    assert client.post(studio.url(f"/churn/inferences/{recorded.id}"), {"value": "41"}).status_code == 302
    assert InferenceLabel.objects.get(inference_id=recorded.id).value == 41
    assert (
        studio.client(studio.viewer)
        .post(studio.url(f"/churn/inferences/{recorded.id}"), {"value": "41"})
        .status_code
        == 403
    )


def test_labels_are_told_line_by_line(studio: Any, deployment: Deployment, model: Any, spool: Path) -> None:
    client = studio.client(studio.contributor)
    client.post(studio.url("/churn/try"), {"c0": "40", "c1": "2.5"})
    [recorded] = list_inferences(deployment).items
    assert client.post(studio.url("/churn/labels"), {"labels": f"{recorded.id}, 41\n"}).status_code == 302
    wrong = client.post(studio.url("/churn/labels"), {"labels": "nonsense\n"})
    assert wrong.status_code == 422
    assert "Line 1 needs an inference id" in wrong.content.decode()


def test_an_unknown_inference_is_not_found(studio: Any, deployment: Deployment, spool: Path) -> None:
    client = studio.client(studio.viewer)
    for odd in ("01930000-0000-7000-8000-000000000000", "-" * 36):
        assert client.get(studio.url(f"/churn/inferences/{odd}")).status_code == 404


def test_a_stopped_deployment_is_started_with_one_button(
    studio: Any, deployment: Deployment, source: Any
) -> None:
    client = studio.client(studio.owner)
    assert client.post(studio.url("/churn/stop")).status_code == 302
    deployment.refresh_from_db()
    assert (deployment.wanted, deployment.state) == ("stopped", "stopping")
    assert client.post(studio.url("/churn/start")).status_code == 302
    deployment.refresh_from_db()
    assert (deployment.wanted, deployment.state) == ("running", "starting")
    assert client.post(studio.url("/churn/trash")).status_code == 302
    assert "This deployment is in the trash" in client.get(studio.url("/churn")).content.decode()
    assert client.get(studio.url("/churn/logs")).status_code == 404
    assert "Restore" in client.get(studio.url("/?trashed=1")).content.decode()
    assert client.post(studio.url("/churn/restore")).status_code == 302
    assert client.get(studio.url("/churn")).status_code == 200
