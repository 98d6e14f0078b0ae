"""Pages of models, versions and promotions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.experiments.models import Run
from apps.registry import actions
from apps.registry.models import Model, ModelVersion, Promotion
from tests.registry.conftest import FAILED
from tests.support.people import People

pytestmark = pytest.mark.django_db
BASE = "/p/shop/models"


def text(response: Any) -> str:
    return str(response.content.decode())


def test_an_empty_list_says_what_to_do(people: People) -> None:
    assert "No models yet" in text(people.client("viewer").get(f"{BASE}/"))


def test_a_run_is_registered_as_a_new_model_or_as_the_next_version(
    people: People, make_run: Callable[..., Run]
) -> None:
    client, run = people.client("contributor"), make_run()
    address = f"{BASE}/register?run={run.hex}"
    assert run.name in text(client.get(address))
    bad = client.post(address, {"name": "a/b"})
    assert (bad.status_code, Model.objects.count()) == (422, 0)
    made = client.post(address, {"name": "churn", "description": "first"})
    assert (made.status_code, made["Location"]) == (302, f"{BASE}/churn/1/")
    assert client.post(address, {"model": "churn"})["Location"] == f"{BASE}/churn/2/"
    nothing = make_run(model=False)
    refused = client.post(f"{BASE}/register?run={nothing.hex}", {"name": "empty"})
    assert refused.status_code == 422
    assert not Model.objects.filter(name="empty").exists()
    assert people.client("stranger").get(address).status_code == 404
    assert people.client("viewer").post(address, {"name": "x"}).status_code == 403


def test_a_version_is_promoted_and_approved_in_the_browser(
    people: People, make_version: Callable[..., ModelVersion], promote: Callable[..., Promotion]
) -> None:
    version = make_version()
    client = people.client("contributor")
    page = text(client.get(version.url))
    assert "Check and promote" in page
    assert client.post(f"{version.url}promote", {"to": "production"}).status_code == 302
    again = client.post(f"{version.url}promote", {"to": "production"})
    assert again.status_code == 422
    promotion = Promotion.objects.get()
    assert 'id="version-live" data-poll' in text(client.get(version.url))
    from apps.registry.promoting import finish_checks

    finish_checks(promotion=promotion, checks=[])
    waiting = text(client.get(version.url))
    assert "It waits for a maintainer" in waiting
    assert "Withdraw" in waiting
    maintainer = people.client("maintainer")
    seen = text(maintainer.get(version.url))
    assert "then names version 1" in seen
    assert ">Approve<" in seen
    assert "Waiting for an approval" in text(maintainer.get(f"{BASE}/"))
    assert client.post(f"{BASE}/promotions/{promotion.pk}/approve").status_code == 403
    assert maintainer.post(f"{BASE}/promotions/{promotion.pk}/approve", {"comment": "ok"}).status_code == 302
    assert 'id="version-live" data-poll' not in text(client.get(version.url))
    model = text(client.get(f"{BASE}/churn/"))
    assert "production" in model
    assert "History of the aliases" in model


def test_a_refused_promotion_shows_which_check_and_why(
    people: People, make_version: Callable[..., ModelVersion], promote: Callable[..., Promotion]
) -> None:
    version = make_version()
    promote(version, checks=FAILED)
    page = text(people.client("viewer").get(version.url))
    assert "It is worse." in page
    assert "Refused" in page
    assert "Check and promote" not in page


def test_models_are_made_renamed_trashed_and_restored(people: People, churn: Model) -> None:
    client = people.client("contributor")
    assert client.post(f"{BASE}/new", {"name": "churn"}).status_code == 422
    assert client.post(f"{BASE}/new", {}).status_code == 422
    assert client.post(f"{BASE}/new", {"name": "other"})["Location"] == f"{BASE}/other/"
    assert client.post(f"{BASE}/churn/edit", {"name": "other"}).status_code == 422
    assert client.post(f"{BASE}/churn/edit", {"name": "leavers"})["Location"] == f"{BASE}/leavers/"
    assert client.post(f"{BASE}/leavers/trash").status_code == 302
    trash = client.get(f"{BASE}/?trashed=1")
    assert "leavers" in text(trash)
    assert client.post(f"{BASE}/{churn.pk}/restore").status_code == 302
    assert client.get(f"{BASE}/leavers/").status_code == 200


def test_versions_are_described_trashed_and_restored(
    people: People, make_version: Callable[..., ModelVersion]
) -> None:
    version, client = make_version(), people.client("contributor")
    assert client.post(f"{version.url}edit", {"description": "with the new data"}).status_code == 302
    assert "with the new data" in text(client.get(version.url))
    assert client.post(f"{version.url}trash").status_code == 302
    assert "This version is in the trash" in text(client.get(version.url))
    assert "Restore" in text(client.get(f"{BASE}/churn/?trashed=1"))
    assert client.post(f"{version.url}restore").status_code == 302
    assert client.get(version.url).status_code == 200


def test_pages_take_few_queries_however_much_there_is(
    people: People,
    make_version: Callable[..., ModelVersion],
    promote: Callable[..., Any],
    django_assert_max_num_queries: Any,
) -> None:
    client = people.client("contributor")
    addresses = ((f"{BASE}/", 16), (f"{BASE}/churn/", 20), (f"{BASE}/churn/1/", 26))
    taken: list[list[int]] = []
    for _ in range(2):
        for _ in range(4):
            version = make_version()
            promote(version, "staging")
            promote(version, "production")
            actions.create_model(
                actor=people.actor("contributor"), project=people.project, name=f"m{version.number}"
            )
        round_of: list[int] = []
        for address, budget in addresses:
            with django_assert_max_num_queries(budget) as queries:
                assert client.get(address).status_code == 200
            round_of.append(len(queries))
        taken.append(round_of)
    assert taken[0] == taken[1]


def test_names_that_only_clients_give_are_reachable(
    people: People, make_run: Callable[..., Run], fake_tracking: Any
) -> None:
    from apps.registry.adoption import adopt_model

    fake_tracking.create_model(people.project.pk, "Kündigung 100% (neu)")
    fake_tracking.create_version(people.project.pk, "Kündigung 100% (neu)", run_id=make_run().hex)
    model = adopt_model(
        actor=people.actor("contributor"), project=people.project, name="Kündigung 100% (neu)"
    )
    client = people.client("viewer")
    assert client.get(model.url).status_code == 200
    assert client.get(model.url + "1/").status_code == 200
    assert people.api("viewer").get(f"/api/v1/projects/shop/models/{model.pk}").status_code == 200


def test_a_model_keeps_a_name_that_only_a_client_could_give(
    people: People, make_run: Callable[..., Run], fake_tracking: Any
) -> None:
    from apps.registry.adoption import adopt_model

    name = "  Ein sehr langer Name " + "x" * 100
    fake_tracking.create_model(people.project.pk, name)
    model = adopt_model(actor=people.actor("contributor"), project=people.project, name=name)
    answer = people.client("contributor").post(
        f"{model.url}edit", {"name": name, "description": "What it is for"}
    )
    assert answer.status_code == 302
    model.refresh_from_db()
    assert (model.name, model.description) == (name, "What it is for")
