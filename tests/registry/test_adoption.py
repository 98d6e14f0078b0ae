"""What stock clients do in MLflow's registry reaches the studio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.experiments.models import Run
from apps.registry import actions, adoption
from apps.registry.models import Alias, AliasMove, Model, ModelVersion
from apps.registry.queries import is_registered, models_of
from apps.registry.states import MovedBy
from foundation.errors import Forbidden, Invalid, NotFound
from tests.support.people import People

pytestmark = pytest.mark.django_db


def test_a_clients_model_and_versions_are_adopted_once(
    people: People, make_run: Callable[..., Run], fake_tracking: Any
) -> None:
    run = make_run()
    fake_tracking.create_model(people.project.pk, "My model")
    fake_tracking.create_version(people.project.pk, "My model", run_id=run.hex)
    fake_tracking.create_version(people.project.pk, "My model", run_id=run.hex, source="model")
    for _ in range(2):
        adoption.adopt_model(
            actor=people.actor("contributor"), project=people.project, name="My model", version=2
        )
    versions = ModelVersion.objects.filter(model__name="My model").order_by("number")
    assert [(v.number, v.run_id, v.state) for v in versions] == [
        (1, run.pk, "ready"),
        (2, run.pk, "pending"),
    ]


def test_a_clients_aliases_are_mirrored_with_their_history(
    people: People, make_version: Callable[..., ModelVersion], fake_tracking: Any
) -> None:
    make_version()
    make_version()
    actor = people.actor("contributor")
    for number in (1, 2, 2):
        fake_tracking.set_alias(people.project.pk, "churn", "best", number)
        adoption.observe_model(actor=actor, project=people.project, name="churn")
    fake_tracking.delete_alias(people.project.pk, "churn", "best")
    adoption.observe_model(actor=actor, project=people.project, name="churn")
    adoption.observe_model(actor=actor, project=people.project, name="no such model")
    assert Alias.objects.count() == 0
    moves = [(m.version.number if m.version else None, m.moved_by) for m in AliasMove.objects.order_by("id")]
    assert moves == [(1, MovedBy.CLIENT), (2, MovedBy.CLIENT), (None, MovedBy.CLIENT)]


def test_a_client_renames_and_trashes_what_nothing_stands_on(
    people: People,
    churn: Model,
    make_version: Callable[..., ModelVersion],
    promote: Callable[..., Any],
    fake_tracking: Any,
) -> None:
    actor = people.actor("contributor")
    first, second = make_version(), make_version()

    def change(**more: Any) -> bool:
        return adoption.change_by_client(actor=actor, project=people.project, **more)

    assert not change(name="a prompt")
    with pytest.raises(NotFound):
        change(name="churn", version=9)
    promote(first, "staging")
    for more in ({}, {"new_name": "x"}, {"version": 1}):
        with pytest.raises(Forbidden):
            change(name="churn", **more)
    assert change(name="churn", version=2)
    second.refresh_from_db()
    assert second.deleted_at is not None
    Alias.objects.all().delete()
    assert change(name="churn", new_name="leavers")
    assert change(name="leavers")
    churn.refresh_from_db()
    assert churn.deleted_at is not None
    assert fake_tracking.versions(people.project.pk, "leavers") == []


def test_what_a_version_consists_of_is_known_by_model_and_by_path(
    people: People, make_run: Callable[..., Run], fake_tracking: Any
) -> None:
    run = make_run()
    fake_tracking.create_model(people.project.pk, "m")
    logged = fake_tracking.create_version(people.project.pk, "m", run_id=run.hex)
    fake_tracking.create_version(people.project.pk, "m", run_id=run.hex, source="model")
    assert not is_registered(people.project.pk, logged_model=logged.source.removeprefix("models:/"))
    adoption.adopt_model(actor=people.actor("contributor"), project=people.project, name="m", version=2)
    assert is_registered(people.project.pk, logged_model=logged.source.removeprefix("models:/"))
    assert not is_registered(people.other_project.pk, logged_model=logged.source.removeprefix("models:/"))
    folder = fake_tracking.artifact_key(run.hex).removeprefix("mlflow/")
    for path, expected in (
        (f"{folder}/model/MLmodel", True),
        (f"{folder}/model/data/x.pkl", True),
        (f"{logged.key.removeprefix('mlflow/')}/model.pkl", True),
        (f"{folder}/models/x", False),
        (f"{folder}/other.txt", False),
        ("", False),
    ):
        assert is_registered(people.project.pk, path=path) == expected, path


def test_what_was_registered_while_nobody_took_note_appears_in_the_list(
    people: People, churn: Model, make_run: Callable[..., Run], fake_tracking: Any
) -> None:
    run = make_run()
    fake_tracking.create_model(people.project.pk, "lost", description="From a notebook")
    fake_tracking.create_version(people.project.pk, "lost", run_id=run.hex)
    fake_tracking.create_version(people.project.pk, "churn", run_id=run.hex)
    found = {model.name: (model.newest, model.description) for model in models_of(people.project)}
    assert found == {"churn": (1, ""), "lost": (1, "From a notebook")}
    models_of(people.project)
    assert ModelVersion.objects.count() == 2


def test_descriptions_go_both_ways(
    people: People, make_version: Callable[..., ModelVersion], fake_tracking: Any
) -> None:
    version = make_version()
    actor = people.actor("contributor")
    fake_tracking.describe_model(people.project.pk, "churn", "Who leaves")
    fake_tracking.describe_version(people.project.pk, "churn", 1, "The first")
    adoption.observe_model(actor=actor, project=people.project, name="churn")
    version.refresh_from_db()
    assert (version.description, Model.objects.get().description) == ("The first", "Who leaves")
    actions.describe_version(actor=actor, version=version, description="Better")
    assert fake_tracking.versions(people.project.pk, "churn")[0].description == "Better"


def test_a_client_renames_to_any_name_that_mlflow_takes(
    people: People, churn: Model, fake_tracking: Any
) -> None:
    actor = people.actor("contributor")
    adoption.change_by_client(actor=actor, project=people.project, name="churn", new_name="Wer geht? ü")
    assert Model.objects.get().name == "Wer geht? ü"
    for bad in ("a/b", "a:b", " ", "x" * 300, "a\x00b"):
        with pytest.raises(Invalid):
            adoption.change_by_client(actor=actor, project=people.project, name="Wer geht? ü", new_name=bad)
