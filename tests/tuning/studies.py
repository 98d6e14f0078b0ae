"""Studies as tests need them: made by the actions, their trials written as if jobs had been at work."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.conftest import build_version, store
from tests.support.people import People

__all__ = ["made_study", "store", "table", "with_trials"]

BODY: dict[str, Any] = {
    "name": "forest",
    "dataset": "churn",
    "target": "y",
    "algorithm": "random_forest",
    "search_space": {"n_estimators": {}, "max_depth": {"low": 2, "high": 12}, "max_features": {}},
    "objectives": [{"metric": "accuracy"}],
    "n_trials": 30,
}


@pytest.fixture
def table(people: People, store: Any, tmp_path: Path) -> Any:
    """A ready dataset version "churn@1" with the target y."""
    return build_version(people, store, tmp_path, "churn")


@pytest.fixture
def made_study(people: People, table: Any) -> Callable[..., Any]:
    """made_study(name="b", algorithm="mlp", …): a study by the contributor, with BODY's values where left out."""
    from apps.tuning.actions import create_study
    from apps.tuning.spec import parse_study

    def make(**changes: Any) -> Any:
        actor = people.actor("contributor")
        spec = parse_study(BODY | changes, actor=actor, project=people.project)
        return create_study(actor=actor, project=people.project, spec=spec)

    return make


def with_trials(study: Any, *outcomes: Any, state: str = "") -> Any:
    """Give a study trials: a number is the value of a complete one; "pruned", "failed" or "running" say the rest.

    state: what the study is afterwards; left out, running or, when all are made, completed.
    """
    from apps.accounts.access import SYSTEM
    from apps.experiments.actions import start_run
    from apps.tuning.actions import spec_of
    from apps.tuning.models import Study, Trial
    from apps.tuning.reading import dimensions_of
    from foundation.clock import now

    began = now() - datetime.timedelta(minutes=10)
    first = study.trials.count()
    for number, outcome in enumerate(outcomes, start=first):
        parameters = {}
        for place, dimension in enumerate(dimensions_of(study)):
            if dimension.type == "categorical":
                parameters[dimension.name] = dimension.choices[number % len(dimension.choices)]
            else:
                share = ((number * (place + 3) * 7) % 11) / 11
                value = dimension.low + share * (dimension.high - dimension.low)
                parameters[dimension.name] = int(value) if dimension.type == "int" else value
        run = start_run(
            actor=SYSTEM,
            project=study.project,
            spec=spec_of(study, parameters),
            kind="tuning.trial",
            parent=study.run,
        )
        word = outcome if isinstance(outcome, str) else "complete"
        Trial.objects.create(
            study=study,
            number=number,
            run=run,
            state=word,
            parameters=parameters,
            value=None if isinstance(outcome, str) else float(outcome),
            intermediate={"1": 0.5, "2": 0.6} if word in ("pruned", "running") else {},
            reason="Nothing to learn from in fold 2." if word == "failed" else "",
            told_at=None if word == "running" else now() + datetime.timedelta(seconds=10 * number + 10),
        )
    ended = study.trials.count() >= study.n_trials
    state = state or ("completed" if ended else "running")
    over = state in ("completed", "stopped", "failed")
    Study.objects.filter(pk=study.pk).update(
        state=state, started_at=began, finished_at=now() if over else None, updated_at=now()
    )
    study.refresh_from_db()
    return study


def with_many_trials(study: Any, count: int) -> Any:
    """Give a study many complete trials at once, their runs without jobs."""
    import random

    from apps.experiments.models import Run
    from apps.tuning.models import Study, Trial
    from apps.tuning.reading import dimensions_of
    from foundation.clock import now
    from foundation.ids import uuid7

    chance, began = random.Random(1), now()
    runs, trials = [], []
    for number in range(count):
        parameters: dict[str, Any] = {}
        for d in dimensions_of(study):
            if d.type == "categorical":
                parameters[d.name] = chance.choice(d.choices)
            elif d.type == "int":
                parameters[d.name] = chance.randint(int(d.low or 0), int(d.high or 1))
            else:
                parameters[d.name] = chance.uniform(d.low or 0, d.high or 1)
        run = Run(
            id=uuid7(), project=study.project, experiment=study.experiment, parent=study.run, client_state="succeeded",
            name=f"{study.name}-{number}", source="client", parameters=parameters, algorithm=study.algorithm,
        )  # fmt: skip
        runs.append(run)
        trials.append(
            Trial(
                study=study,
                number=number,
                run=run,
                state="complete",
                parameters=parameters,
                value=0.5 + chance.random() / 3,
                told_at=began,
            )
        )
    Run.objects.bulk_create(runs)
    Trial.objects.bulk_create(trials)
    Study.objects.filter(pk=study.pk).update(
        state="completed", started_at=began, finished_at=now(), n_trials=count
    )
    study.refresh_from_db()
    return study
