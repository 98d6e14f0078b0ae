"""Definitions to start from, filled with what the project has: its newest dataset, the column most likely meant."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from apps.accounts.models import Project
from apps.datasets.models import DatasetVersion
from apps.experiments.forms import likely_target, task_of_target
from apps.pipelines.models import Pipeline
from foundation.errors import Invalid
from foundation.names import check_name

LOOKED_AT = 50
GOALS = {"classification": ("f1_macro", 0.5), "regression": ("r2", 0.0)}


@dataclass(frozen=True)
class Example:
    """A definition to start from."""

    key: str
    title: str
    about: str
    text: str


@dataclass(frozen=True)
class _Ground:
    """What the examples are filled with."""

    dataset: str
    target: str
    task: str
    columns: list[str]
    rows: int
    exam: str


def examples_for(project: Project) -> list[Example]:
    """All of them, the first one the one to begin with."""
    ground = _ground(project)
    made = [
        (
            "train",
            "Train, evaluate, register",
            "Trains two algorithms side by side, judges one on the dataset, and registers it when it is good enough.",
            _train(ground),
        ),
        (
            "better",
            "Replace the model when a new one is better",
            "Trains anew, compares with the version in production on the same rows, and asks for a promotion only "
            "when it wins.",
            _better(ground),
        ),
        (
            "check",
            "Check a dataset",
            "Fails with a sentence when the newest version has too few rows, lacks a column or has too many holes.",
            _check(ground),
        ),
    ]
    return [
        Example(
            key,
            title,
            about,
            json.dumps({"name": _free(project, f"{ground.dataset}-{key}"), **body}, indent=2),
        )
        for key, title, about, body in made
    ]


def _ground(project: Project) -> _Ground:
    """The newest dataset; beside it, to judge on, another one of the same columns, where there is one."""
    newest: dict[str, DatasetVersion] = {}
    rows = DatasetVersion.objects.filter(
        project=project, state="ready", deleted_at__isnull=True, dataset__deleted_at__isnull=True
    ).select_related("dataset")
    for row in rows.order_by("-created_at")[:LOOKED_AT]:
        newest.setdefault(row.dataset.name, row)
    if not newest:
        return _Ground("customers", "churn", "classification", ["age", "churn"], 100, "customers")
    first = next(iter(newest.values()))
    alike = [row for row in newest.values() if _names(row) == _names(first)]
    version = max(alike, key=lambda row: row.rows or 0)
    exam = next((row for row in alike if row is not version), version)
    target = likely_target(version)
    numbers = {column["name"] for column in version.schema if column["type"] == "number"}
    task = task_of_target(version, target) or ("regression" if target in numbers else "classification")
    return _Ground(
        dataset=version.dataset.name,
        target=target,
        task=task,
        columns=list(dict.fromkeys([*sorted(_names(version))[:3], target])),
        rows=max(1, (version.rows or 2) // 2),
        exam=exam.dataset.name,
    )


def _names(version: DatasetVersion) -> set[str]:
    return {str(column["name"]) for column in version.schema}


def _free(project: Project, wanted: str) -> str:
    """A name that no pipeline has."""
    try:
        name = check_name(wanted[:55])
    except Invalid:
        name = "pipeline"
    taken = set(
        Pipeline.objects.filter(project=project, deleted_at__isnull=True, name__startswith=name).values_list(
            "name", flat=True
        )
    )
    return next(found for found in (name, *(f"{name}-{n}" for n in range(2, 10_000))) if found not in taken)


def _parameters(ground: _Ground, **more: Any) -> dict[str, Any]:
    return {
        "dataset": {"type": "dataset", "default": ground.dataset, "description": "What to learn from."},
        **more,
    }


def _exam(ground: _Ground) -> dict[str, Any]:
    return {
        "exam": {
            "type": "dataset",
            "default": ground.exam,
            "description": "What to judge on: best rows that the training has not seen.",
        }
    }


def _node(name: str, kind: str, needs: list[str] | None = None, **values: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "kind": kind}
    if needs:
        found["needs"] = needs
    return found | {"with": values}


def _train(ground: _Ground) -> dict[str, Any]:
    metric, goal = GOALS[ground.task]
    return {
        "description": f"Trains on {ground.dataset}, and registers the model when it is good enough.",
        "parameters": _parameters(
            ground,
            **_exam(ground),
            least={"type": "number", "default": goal, "description": f"The {metric} that is good enough."},
        ),
        "nodes": [
            _node("check", "dataset_check", dataset="${parameters.dataset}", rows_at_least=ground.rows),
            _node(
                "forest", "run", dataset="${check.dataset}", target=ground.target, algorithm="random_forest"
            ),
            _node("linear", "run", dataset="${check.dataset}", target=ground.target, algorithm="linear"),
            _node("judge", "evaluate", run="${forest.run}", dataset="${parameters.exam}"),
            _node(
                "good",
                "condition",
                all=[
                    {
                        "left": f"${{judge.metrics.{metric}}}",
                        "operator": ">=",
                        "right": "${parameters.least}",
                    },
                    {"metric": metric, "of": "${forest.metrics}", "better_than": "${linear.metrics}"},
                ],
            ),
            _node("register", "register", ["good"], model=ground.dataset, run="${forest.run}"),
        ],
    }


def _better(ground: _Ground) -> dict[str, Any]:
    metric, _ = GOALS[ground.task]
    production = f"{ground.dataset}@production"
    return {
        "description": f"Keeps the model of {ground.dataset} fresh.",
        "parameters": _parameters(
            ground,
            **_exam(ground),
            gain={"type": "number", "default": 0, "description": "How much better it has to be."},
        ),
        "nodes": [
            _node("check", "dataset_check", dataset="${parameters.dataset}", rows_at_least=ground.rows),
            _node(
                "train",
                "run",
                dataset="${check.dataset}",
                target=ground.target,
                algorithm="hist_gradient_boosting",
            ),
            _node("judge", "evaluate", run="${train.run}", dataset="${parameters.exam}", against=production),
            _node(
                "better",
                "condition",
                metric=metric,
                of="${judge.metrics}",
                better_than="${judge.against}",
                by="${parameters.gain}",
            ),
            _node("register", "register", ["better"], model=ground.dataset, run="${train.run}"),
            _node("promote", "promote", model="${register.model}", to="staging"),
        ],
    }


def _check(ground: _Ground) -> dict[str, Any]:
    return {
        "description": f"Is the newest version of {ground.dataset} as it should be?",
        "parameters": _parameters(ground),
        "nodes": [
            _node(
                "check",
                "dataset_check",
                dataset="${parameters.dataset}",
                rows_at_least=ground.rows,
                columns=ground.columns,
                missing_at_most=0.5,
            )
        ],
    }
