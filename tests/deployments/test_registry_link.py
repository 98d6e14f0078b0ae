"""Deployments and the registry: references are resolved, aliases are followed."""

from __future__ import annotations

from typing import Any

import pytest

from apps.deployments import subscriptions
from apps.deployments.actions import create_deployment
from apps.deployments.forms import DeployForm
from apps.deployments.models import Deployment
from apps.deployments.source import resolve
from apps.deployments.states import RevisionState
from apps.lineage.queries import line
from apps.registry.actions import put_in_lineage
from apps.registry.events import AliasMoved
from apps.registry.models import Alias, Model, ModelVersion
from foundation.errors import NotFound
from foundation.events import publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def versions(studio: Any) -> list[ModelVersion]:
    model = Model.objects.create(project=studio.project, name="churn")
    made = [
        ModelVersion.objects.create(
            project=studio.project, model=model, number=number, source="models:/m", prefix=f"mlflow/m{number}"
        )
        for number in (1, 2)
    ]
    for version in made:
        put_in_lineage(version)
    Alias.objects.create(model=model, name="production", version=made[0])
    return made


def test_references_name_versions_and_aliases(studio: Any, versions: list[ModelVersion]) -> None:
    fixed, alias = resolve(studio.project, "churn/2"), resolve(studio.project, "churn@production")
    assert (fixed.number, fixed.alias, fixed.prefix, fixed.version_id) == (2, "", "mlflow/m2", versions[1].pk)
    assert (alias.number, alias.alias, alias.label) == (1, "production", "churn/1")
    for unknown in ("other/1", "churn/3", "churn@staging"):
        with pytest.raises(NotFound):
            resolve(studio.project, unknown)


def test_a_name_with_an_at_sign_is_split_at_the_last(studio: Any, versions: list[ModelVersion]) -> None:
    Model.objects.filter(name="churn").update(name="churn@home")
    assert resolve(studio.project, "churn@home@production").number == 1
    assert resolve(studio.project, "churn@home/2").number == 2


def test_the_form_offers_what_can_be_deployed(studio: Any, versions: list[ModelVersion]) -> None:
    field: Any = DeployForm(project=studio.project).fields["model"]
    options = [value for _, group in field.choices for value, _ in group]
    assert options == ["churn@production", "churn/2", "churn/1"]


def deployed(studio: Any, model: str) -> Deployment:
    return create_deployment(
        actor=studio.actor(studio.owner), project=studio.project, name="live", model=model
    )


def moved(studio: Any, versions: list[ModelVersion]) -> AliasMoved:
    Alias.objects.update(version=versions[1])
    return AliasMoved(studio.project.pk, versions[1].model_id, "churn", "production", versions[1].pk, 2)


def test_a_moved_alias_is_followed(
    studio: Any, versions: list[ModelVersion], django_capture_on_commit_callbacks: Any
) -> None:
    deployment = deployed(studio, "churn@production")
    with django_capture_on_commit_callbacks(execute=True):
        publish(moved(studio, versions))
        publish(moved(studio, versions))
    labels = [(r.number, r.model_label, r.state) for r in deployment.revisions.all()]
    assert labels == [(2, "churn/2", RevisionState.BUILDING), (1, "churn/1", RevisionState.BUILDING)]
    stops = {
        stop.kind: [node.title for node in stop.nodes] for stop in line(kind="deployment", key=deployment.pk)
    }
    assert "live" in stops["deployment"]
    assert len(stops["model_version"]) == 2


def test_lost_news_are_found_by_the_sweep(studio: Any, versions: list[ModelVersion]) -> None:
    deployment = deployed(studio, "churn@production")
    moved(studio, versions)
    assert subscriptions.follow() == 1
    assert subscriptions.follow() == 0
    assert deployment.revisions.count() == 2


def test_a_fixed_version_stays(studio: Any, versions: list[ModelVersion]) -> None:
    deployment = deployed(studio, "churn/1")
    moved(studio, versions)
    assert subscriptions.follow() == 0
    assert deployment.revisions.count() == 1


def test_a_removed_alias_leaves_the_deployment_as_it_is(studio: Any, versions: list[ModelVersion]) -> None:
    deployment = deployed(studio, "churn@production")
    Alias.objects.all().delete()
    assert subscriptions.follow() == 0
    assert deployment.revisions.count() == 1


def test_an_unknown_model_is_not_found_by_the_api(studio: Any) -> None:
    answer = studio.client(studio.owner).post(
        studio.api(), {"name": "live", "model": "other/1"}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model.not_found")
