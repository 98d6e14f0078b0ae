"""What a new study is to be: parsed and checked in one place for the API, the form and pipelines.

What a run needs is checked as for a run; what can be known of the objective, the sampler and the pruner is
refused here, before anything exists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.datasets.models import DatasetVersion
from apps.datasets.queries import profile_of
from apps.experiments.algorithms.schema import Algorithm
from apps.experiments.metric_catalogue import METRICS, PRIMARY
from apps.experiments.spec import RunSpec, parse_spec
from apps.jobs.placement import FIELDS as PLACEMENT_FIELDS
from apps.tuning.choosing import Choice, choose_pruner, choose_sampler, steps_of
from apps.tuning.space import Dimension, parse_space
from foundation.errors import Invalid
from foundation.names import check_name, check_text

FIELDS = (
    "name", "description", "experiment", "dataset", "target", "task", "features", "test_size", "folds",
    "algorithm", "parameters", "search_space", "objectives", "sampler", "pruner", "n_trials", "timeout",
    "trial_timeout", "parallelism", "seed", "max_failures", *PLACEMENT_FIELDS,
)  # fmt: skip
OF_THE_RUN = (
    "experiment",
    "dataset",
    "target",
    "task",
    "features",
    "test_size",
    "folds",
    "algorithm",
    "seed",
    *PLACEMENT_FIELDS,
)
DIRECTIONS = ("maximize", "minimize")
TRIALS_AT_MOST = 5000
DEFAULT_TRIALS = 30
DEFAULT_PARALLELISM = 2
PARALLELISM_AT_MOST = 64
DEFAULT_FAILURES = 5
MONTH = 30 * 24 * 3600
WEEK = 7 * 24 * 3600
#: A whole-numbered target with at most this many values is taken for classes, as the training does.
CLASS_LIMIT = 20
#: Metrics that only two classes have.
BINARY_METRICS = frozenset({"f1", "precision", "recall"})


@dataclass(frozen=True)
class StudySpec:
    """A study that may be started. run: what all trials share; its parameters are the fixed ones only."""

    name: str
    description: str
    run: RunSpec
    task: str
    space: list[Dimension]
    objective: dict[str, str]
    sampler: Choice
    pruner: Choice
    n_trials: int
    timeout: int | None
    trial_timeout: int | None
    parallelism: int
    max_failures: int

    @property
    def algorithm(self) -> Algorithm:
        """What is tuned."""
        return self.run.algorithm


def parse_study(data: object, *, actor: Actor, project: Project) -> StudySpec:
    """The body of POST /studies. Raises Invalid naming the field, NotFound for the dataset."""
    if not isinstance(data, Mapping):
        raise Invalid("request.invalid", "The body must be a JSON object.", {"field": "body"})
    for field in data:
        if field not in FIELDS:
            raise Invalid(
                "study.unknown_field",
                f"A study has no field '{str(field)[:60]}'. It knows: {', '.join(FIELDS)}.",
                {"field": str(field)[:60]},
            )
    name = check_name(data.get("name"))
    if name == "new":
        raise Invalid(
            "name.invalid", "'new' is the address of a page; choose another name.", {"field": "name"}
        )
    shared = {key: data[key] for key in OF_THE_RUN if key in data}
    shared["experiment"] = data.get("experiment") or name  # its trials would bury the runs of another one
    given = data.get("parameters")
    run = parse_spec({**shared, "parameters": given}, actor=actor, project=project)
    task = run.task or likely_task(run.version, run.target)
    _check_task(run, task)
    fixed = run.algorithm.clean(given, task)
    named = [key for key in fixed if isinstance(given, Mapping) and key in given]
    run = replace(run, task=task, parameters={key: fixed[key] for key in named})
    space = parse_space(run.algorithm, data.get("search_space"), run.parameters, task=task)
    n_trials = whole(data, "n_trials", DEFAULT_TRIALS, 1, TRIALS_AT_MOST)
    sampler = choose_sampler(_word(data, "sampler"), space, n_trials)
    return StudySpec(
        name=name,
        description=check_text(data.get("description"), field="description"),
        run=run,
        task=task,
        space=space,
        objective=_objective(data.get("objectives"), task, run),
        sampler=sampler,
        pruner=choose_pruner(
            _word(data, "pruner"), steps_of(run.algorithm, run.folds), run.algorithm.title, n_trials
        ),
        n_trials=n_trials if sampler.limit is None else min(n_trials, sampler.limit),
        timeout=optional_whole(data, "timeout", 1, MONTH),
        trial_timeout=optional_whole(data, "trial_timeout", 1, WEEK),
        parallelism=whole(data, "parallelism", DEFAULT_PARALLELISM, 1, PARALLELISM_AT_MOST),
        max_failures=whole(data, "max_failures", DEFAULT_FAILURES, 1, 1000),
    )


def likely_task(version: DatasetVersion, target: str) -> str:
    """As the training would decide of a numeric target, by the profile of the column."""
    profile = profile_of(version)
    column = next((c for c in profile.columns if c["name"] == target), None) if profile else None
    kinds = {str(c["name"]): str(c["type"]) for c in version.schema}
    if column is None or "int" not in kinds[target] or column["distinct"] > CLASS_LIMIT:
        return "regression"
    # A lonely value shows that the numbers are rather a count; the profile names the ten most frequent.
    lonely = any(top["count"] < 2 for top in column["top"])
    return "regression" if lonely and column["distinct"] > 2 else "classification"


def _check_task(run: RunSpec, task: str) -> None:
    if task not in run.algorithm.tasks:
        raise Invalid(
            "algorithm.wrong_task", f"{run.algorithm.title} does not do {task}.", {"field": "algorithm"}
        )


def _objective(given: object, task: str, run: RunSpec) -> dict[str, str]:
    field = "objectives"
    if given in (None, "", []):
        given = [{"metric": PRIMARY[task]}]
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise Invalid(
            "study.objective",
            'The objectives must be a list such as [{"metric": "accuracy"}].',
            {"field": field},
        )
    if len(given) != 1:
        raise Invalid("study.objective", "A study has exactly one objective.", {"field": field})
    objective = given[0]
    if not isinstance(objective, Mapping) or set(objective) - {"metric", "direction"}:
        raise Invalid(
            "study.objective", "An objective has a metric and a direction.", {"field": f"{field}.0"}
        )
    known = [m.name for m in METRICS.values() if m.task == task]
    metric = objective.get("metric") or PRIMARY[task]
    if metric not in known:
        raise Invalid(
            "study.objective",
            f"No trial would ever log {_show(metric)} for {task}. Logged are: {', '.join(known)}.",
            {"field": f"{field}.0.metric", "known": known},
        )
    if metric in BINARY_METRICS and (classes := _classes(run)) is not None and classes > 2:
        raise Invalid(
            "study.objective",
            f"No trial would ever log {metric}: it needs two classes, and '{run.target}' has {classes}. "
            f"Take {metric}_macro.",
            {"field": f"{field}.0.metric"},
        )
    usual = "minimize" if METRICS[metric].direction == "min" else "maximize"
    direction = objective.get("direction") or usual
    if direction not in DIRECTIONS:
        raise Invalid(
            "study.objective",
            f"The direction is maximize or minimize, not {_show(direction)}.",
            {"field": f"{field}.0.direction"},
        )
    return {"metric": metric, "direction": direction}


def _classes(run: RunSpec) -> int | None:
    """How many classes the target surely has, None when that is not known exactly."""
    profile = profile_of(run.version)
    column = next((c for c in profile.columns if c["name"] == run.target), None) if profile else None
    return int(column["distinct"]) if column and column.get("distinct_exact") else None


def _word(data: Mapping[str, Any], field: str) -> str:
    value = data.get(field)
    if value is not None and not isinstance(value, str):
        raise Invalid(f"study.{field}", f"The {field} must be a word.", {"field": field})
    return value or "auto"


def optional_whole(data: Mapping[str, Any], field: str, low: int, high: int) -> int | None:
    """A whole number of the body, None when it is left out. Raises Invalid "study.out_of_range"."""
    value = data.get(field)
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high or number != int(number):
        raise Invalid(
            "study.out_of_range",
            f"The field '{field}' must be a whole number from {low} to {high}.",
            {"field": field, "low": low, "high": high},
        )
    return int(number)


def whole(data: Mapping[str, Any], field: str, default: int, low: int, high: int) -> int:
    """The same with a default."""
    found = optional_whole(data, field, low, high)
    return default if found is None else found


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
