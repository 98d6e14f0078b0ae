"""Set-up of the tests of the registry: finished runs that have logged a model, promotions with checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.experiments.mirror import ensure_experiment
from apps.experiments.models import Run
from apps.experiments.recording import put_in_lineage
from apps.experiments.states import RunSource
from apps.registry import actions, promoting
from apps.registry.models import Model, ModelVersion, Promotion
from foundation.ids import uuid7
from tests.support.people import People

SIGNATURE = {"inputs": [{"name": "age", "type": "long", "required": True}], "outputs": [{"type": "string"}]}
PASSED = [{"name": "loads", "title": "Loads", "state": "passed", "message": "It loads."}]
FAILED = [*PASSED, {"name": "metric", "title": "Metric", "state": "failed", "message": "It is worse."}]


@pytest.fixture
def make_run(people: People, fake_tracking: Any) -> Callable[..., Run]:
    """make_run("name", metrics={...}): a finished run of the contributor that has logged a model."""

    def make(
        name: str = "forest", *, model: bool = True, metrics: dict[str, float] | None = None, **fields: Any
    ) -> Run:
        actor = people.actor("contributor")
        experiment = ensure_experiment(actor=actor, project=people.project, name="first")
        run_id = uuid7()
        fake_tracking.create_run(
            project_id=people.project.pk,
            run_id=run_id.hex,
            experiment_id=experiment.mlflow_id,
            name=name,
            user="contributor",
        )
        for key, value in (metrics or {"accuracy": 0.9}).items():
            fake_tracking.log(run_id.hex, key, {0: value})
        kept = {}
        if model:
            logged = fake_tracking.log_model(run_id.hex)
            kept = {
                "model": {"id": logged.id, "signature": SIGNATURE, "example": [{"age": 3}], "classes": ["a"]}
            }
        run: Run = Run.objects.create(
            **{
                "id": run_id,
                "project": people.project,
                "created_by": people.contributor,
                "experiment": experiment,
                "name": name,
                "source": RunSource.CLIENT,
                "client_state": "succeeded",
                "task": "classification",
                "target": "y",
                "primary_metric": "accuracy",
                **kept,
                **fields,
            }
        )
        put_in_lineage(run)
        return run

    return make


@pytest.fixture
def churn(people: People) -> Model:
    """An empty model."""
    return actions.create_model(actor=people.actor("contributor"), project=people.project, name="churn")


@pytest.fixture
def make_version(people: People, churn: Model, make_run: Callable[..., Run]) -> Callable[..., ModelVersion]:
    """make_version(): the next version of churn from a new run."""

    def make(**fields: Any) -> ModelVersion:
        return actions.register_version(
            actor=people.actor("contributor"), model=churn, run=make_run(**fields)
        )

    return make


@pytest.fixture
def promote(people: People) -> Callable[..., Promotion]:
    """promote(version, "production"): asked for by the contributor, its checks ended as given."""

    def ask(
        version: ModelVersion, to: str = "production", *, checks: Any = PASSED, by: str = "contributor"
    ) -> Promotion:
        promotion = promoting.request_promotion(actor=people.actor(by), version=version, to=to)
        if checks is not None:
            promoting.finish_checks(promotion=promotion, checks=checks)
        return promotion

    return ask
