"""Models and versions: register, rename, describe, trash and restore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import AuditEvent
from apps.experiments.models import Run
from apps.lineage.models import Edge, Node
from apps.registry import actions, queries
from apps.registry.models import Model, ModelVersion
from apps.registry.states import VersionState
from foundation.errors import Conflict, Invalid, NotFound
from tests.support.people import People

pytestmark = pytest.mark.django_db


def test_a_version_remembers_where_it_comes_from(
    people: People, churn: Model, make_run: Callable[..., Run], fake_tracking: Any
) -> None:
    run = make_run(metrics={"accuracy": 0.9, "odd": float("nan"), "train_accuracy": 1.0})
    version = actions.register_version(actor=people.actor("contributor"), model=churn, run=run)
    assert (version.number, version.label, version.state) == (1, "churn/1", VersionState.READY)
    assert version.signature["inputs"][0]["name"] == "age"
    assert version.metrics == {"accuracy": 0.9, "train_accuracy": 1.0}
    assert version.prefix.startswith(f"mlflow/workspaces/p-{people.project.pk.hex}/")
    assert fake_tracking.versions(people.project.pk, "churn")[0].number == 1
    edge = Edge.objects.get(target__key=str(version.pk))
    assert (edge.source.kind, edge.source.key) == ("run", run.hex)
    assert AuditEvent.objects.filter(action="model.register").exists()


def test_versions_are_numbered_one_after_the_other(make_version: Callable[..., ModelVersion]) -> None:
    assert [make_version().number for _ in range(3)] == [1, 2, 3]


def test_a_run_without_a_model_or_still_working_is_refused(
    people: People, churn: Model, make_run: Callable[..., Run]
) -> None:
    with pytest.raises(Invalid) as caught:
        actions.register_version(actor=people.actor("contributor"), model=churn, run=make_run(model=False))
    assert caught.value.code == "run.no_model"
    with pytest.raises(Conflict):
        actions.register_version(
            actor=people.actor("contributor"), model=churn, run=make_run(client_state="running")
        )
    assert ModelVersion.objects.count() == 0


def test_a_model_without_a_known_signature_is_read_by_a_job(
    people: People, churn: Model, make_run: Callable[..., Run]
) -> None:
    run = make_run(model=True)
    Run.objects.filter(pk=run.pk).update(model=None)
    run.refresh_from_db()
    version = actions.register_version(actor=people.actor("contributor"), model=churn, run=run)
    assert version.state == VersionState.PENDING
    assert version.job is not None
    assert version.job.kind == "registry.describe"


def test_a_name_is_given_once_and_freed_by_the_trash(people: People, churn: Model) -> None:
    actor = people.actor("contributor")
    with pytest.raises(Conflict) as caught:
        actions.create_model(actor=actor, project=people.project, name="churn")
    assert caught.value.code == "model.exists"
    actions.trash_model(actor=actor, model=churn)
    again = actions.create_model(actor=actor, project=people.project, name="churn")
    with pytest.raises(Conflict):
        actions.restore_model(actor=actor, model=churn)
    actions.update_model(actor=actor, model=again, name="churn-2")
    churn.refresh_from_db()
    assert actions.restore_model(actor=actor, model=churn).deleted_at is None


@pytest.mark.parametrize("name", ["", "a/b", "x" * 64, "-a", "a b", None, 3, "a\x00"])
def test_a_bad_name_is_refused_and_leaves_nothing(people: People, name: Any, fake_tracking: Any) -> None:
    with pytest.raises(Invalid):
        actions.create_model(actor=people.actor("contributor"), project=people.project, name=name)
    assert Model.objects.count() == 0
    assert fake_tracking._models == {}


def test_a_renamed_model_keeps_its_versions_and_its_line(
    people: People, churn: Model, make_version: Callable[..., ModelVersion], fake_tracking: Any
) -> None:
    version = make_version()
    actions.update_model(actor=people.actor("contributor"), model=churn, name="leavers", description="x")
    assert [v.number for v in fake_tracking.versions(people.project.pk, "leavers")] == [1]
    assert Node.objects.get(key=str(version.pk)).name == "leavers/1"
    other = actions.create_model(actor=people.actor("contributor"), project=people.project, name="b")
    with pytest.raises(Conflict):
        actions.update_model(actor=people.actor("contributor"), model=other, name="leavers")


def test_the_trash_strikes_versions_through_and_brings_them_back(
    people: People, churn: Model, make_version: Callable[..., ModelVersion], fake_tracking: Any
) -> None:
    version, actor = make_version(), people.actor("contributor")
    actions.trash_version(actor=actor, version=version)
    assert not Node.objects.get(key=str(version.pk)).alive
    assert fake_tracking.versions(people.project.pk, "churn")[0].deleted
    assert queries.deployable_versions(people.project) == []
    actions.restore_version(actor=actor, version=version)
    assert Node.objects.get(key=str(version.pk)).alive
    actions.trash_model(actor=actor, model=churn)
    assert not Node.objects.get(key=str(version.pk)).alive
    assert make_run_number(churn) == 1


def make_run_number(model: Model) -> int:
    return ModelVersion.objects.filter(model=model).count()


def test_deployments_find_versions_by_alias_and_number(
    people: People,
    make_version: Callable[..., ModelVersion],
    promote: Callable[..., Any],
) -> None:
    version = make_version()
    make_version()
    promote(version, "staging")
    assert queries.version_for_deployment(people.project, "churn", alias="staging").number == 1
    assert queries.version_for_deployment(people.project, "churn", number=2).number == 2
    assert queries.deployable_versions(people.project) == [("churn", [("staging", 1)], [2, 1])]
    for wanted in ({"alias": "production"}, {"number": 9}):
        with pytest.raises(NotFound):
            queries.version_for_deployment(people.project, "churn", **wanted)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        queries.version_for_deployment(people.other_project, "churn", number=1)
