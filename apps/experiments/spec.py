"""What a new run is to be: parsed and checked in one place for the API, the form and other apps.

Everything that can be known before a job exists is refused here, with the field named, so that nothing
half-made stays behind. What only the data can tell (classes, missing values) the training itself checks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.datasets.access import get_usable_version
from apps.datasets.models import DatasetVersion
from apps.experiments import algorithms
from apps.experiments.algorithms.schema import TASKS, Algorithm
from apps.experiments.models import Experiment
from apps.experiments.rules.spec import read_rules
from apps.jobs.placement import FIELDS as PLACEMENT_FIELDS
from apps.jobs.placement import Placement, read_placement
from foundation.errors import Invalid
from foundation.names import check_name, check_text

FIELDS = (
    "experiment", "dataset", "target", "algorithm", "parameters", "task", "features", "test_size", "folds",
    "seed", "name", "description", "tags", "timeout", "rules", *PLACEMENT_FIELDS,
)  # fmt: skip
DEFAULT_TEST_SIZE = 0.2
DEFAULT_SEED = 42
SEED_AT_MOST = 2**31 - 1
TIMEOUT_AT_MOST = 7 * 24 * 3600
#: Column types of a dataset's schema that no built-in algorithm can predict.
UNPREDICTABLE = frozenset({"date", "datetime", "time", "duration", "list", "struct", "binary", "null"})
TEXTUAL = frozenset({"string", "boolean", "categorical"})


@dataclass(frozen=True)
class RunSpec:
    """A run that may be started. test_size counts only where folds is None."""

    experiment: str
    version: DatasetVersion
    target: str
    algorithm: Algorithm
    parameters: dict[str, Any]
    task: str | None = None
    features: list[str] | None = None
    test_size: float = DEFAULT_TEST_SIZE
    folds: int | None = None
    seed: int = DEFAULT_SEED
    name: str = ""
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    timeout: int | None = None
    placement: Placement = field(default_factory=Placement)
    rules: list[dict[str, Any]] = field(default_factory=list)


def parse_spec(data: object, *, actor: Actor, project: Project) -> RunSpec:
    """The body of POST /runs as a RunSpec. Raises Invalid naming the field, NotFound for the dataset."""
    if not isinstance(data, Mapping):
        raise Invalid("request.invalid", "The body must be a JSON object.", {"field": "body"})
    for name in data:
        if name not in FIELDS:
            raise Invalid(
                "run.unknown_field",
                f"A run has no field '{str(name)[:60]}'. It knows: {', '.join(FIELDS)}.",
                {"field": str(name)[:60]},
            )
    algorithm = algorithms.get(data.get("algorithm"))
    version = get_usable_version(actor, project, _required_text(data, "dataset"))
    target = _required_text(data, "target")
    task = _task(data.get("task"), algorithm)
    types = {str(c["name"]): str(c["type"]) for c in version.schema}
    _check_target(target, types, task)
    task = task or ("classification" if types[target] in TEXTUAL else None)
    return RunSpec(
        experiment=read_experiment(data.get("experiment"), project),
        version=version,
        target=target,
        algorithm=algorithm,
        parameters=_parameters(algorithm, data.get("parameters"), task),
        task=task,
        features=_features(data.get("features"), target, types),
        test_size=_number(data, "test_size", DEFAULT_TEST_SIZE, 0.01, 0.9),
        folds=read_whole(data, "folds", None, 2, 20),
        seed=read_whole(data, "seed", DEFAULT_SEED, 0, SEED_AT_MOST) or 0,
        name=check_name(data["name"]) if data.get("name") not in (None, "") else "",
        description=check_text(data.get("description"), field="description"),
        tags=read_tags(data.get("tags")),
        timeout=read_whole(data, "timeout", None, 1, TIMEOUT_AT_MOST),
        placement=read_placement(data),
        rules=read_rules(data.get("rules")),
    )


def check_experiment_name(name: object, project: Project) -> str:
    """The name of an experiment that exists or may be made. Raises Invalid "name.invalid"."""
    if isinstance(name, str) and Experiment.objects.alive().filter(project=project, name=name).exists():
        return name
    return check_name(name, field="experiment")


def read_experiment(value: object, project: Project) -> str:
    """The field "experiment": a name, by default "Default". Raises Invalid."""
    if isinstance(value, str) and "\x00" in value:
        raise Invalid("text.invalid", "The experiment contains a NUL character.", {"field": "experiment"})
    return check_experiment_name("Default" if value in (None, "") else value, project)


def _required_text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None or value == "":
        raise Invalid("run.missing_field", f"The field '{name}' is missing.", {"field": name})
    if not isinstance(value, str):
        raise Invalid("run.bad_field", f"The field '{name}' must be text.", {"field": name})
    return check_text(value, field=name, limit=300)


def _task(value: object, algorithm: Algorithm) -> str | None:
    if value in (None, "", "auto"):
        return None
    if value not in TASKS:
        raise Invalid(
            "run.bad_field", "The task is 'classification', 'regression' or left out.", {"field": "task"}
        )
    if value not in algorithm.tasks:
        raise Invalid(
            "algorithm.wrong_task", f"{algorithm.title} does not do {value}.", {"field": "algorithm"}
        )
    return str(value)


def _check_target(target: str, types: Mapping[str, str], task: str | None) -> None:
    if target not in types:
        known = list(types)
        shown = ", ".join(known[:20]) + (" …" if len(known) > 20 else "")
        raise Invalid(
            "target.unknown",
            f"The dataset has no column '{target[:80]}'. It has: {shown}.",
            {"field": "target", "columns": known[:200]},
        )
    if types[target] in UNPREDICTABLE:
        raise Invalid(
            "target.unsupported",
            f"The column '{target}' is of type {types[target]}, which no built-in algorithm predicts.",
            {"field": "target"},
        )
    if task == "regression" and types[target] in TEXTUAL:
        raise Invalid(
            "target.not_numeric",
            f"The column '{target}' is of type {types[target]}; regression needs numbers.",
            {"field": "task"},
        )


def _parameters(algorithm: Algorithm, values: object, task: str | None) -> dict[str, Any]:
    """Checked values; while the task is open, only those that were given or that both tasks know."""
    cleaned = algorithm.clean(values, task)
    if task is not None:
        return cleaned
    given = set(values) if isinstance(values, Mapping) else set()
    shared = {p.name for p in algorithm.parameters if set(algorithm.tasks) <= set(p.tasks)}
    return {name: value for name, value in cleaned.items() if name in shared or name in given}


def _features(value: object, target: str, types: Mapping[str, str]) -> list[str] | None:
    if value in (None, "", []):
        return None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise Invalid("run.bad_field", "The features must be a list of column names.", {"field": "features"})
    for name in value:
        if not isinstance(name, str) or name not in types:
            raise Invalid(
                "features.unknown", f"The dataset has no column '{str(name)[:80]}'.", {"field": "features"}
            )
        if name == target:
            raise Invalid(
                "features.unknown",
                f"The target '{target}' cannot be a feature of itself.",
                {"field": "features"},
            )
    return list(dict.fromkeys(value))


def read_tags(value: object) -> dict[str, str]:
    """The field "tags": texts by name. Raises Invalid for reserved names and values that are no text."""
    if value in (None, ""):
        return {}
    if not isinstance(value, Mapping):
        raise Invalid("run.bad_field", 'The tags must be an object such as {"team": "a"}.', {"field": "tags"})
    tags: dict[str, str] = {}
    for key, text in value.items():
        if str(key).startswith(("mlflow.", "atelier.")):
            raise Invalid(
                "run.reserved_tag",
                f"Tags that begin with '{str(key).split('.')[0]}.' are reserved.",
                {"field": "tags"},
            )
        if isinstance(text, list | dict) or text is None:
            raise Invalid("run.bad_field", f"The tag '{str(key)[:60]}' must be text.", {"field": "tags"})
        tags[check_text(str(key), field="tag's name", limit=250)] = check_text(str(text), field="tag")
    return tags


def _number(data: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = data.get(name)
    if value is None or value == "":
        return default
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise Invalid(
            "run.out_of_range",
            f"The field '{name}' must be a number from {low:g} to {high:g}.",
            {"field": name, "low": low, "high": high},
        )
    return number


def read_whole(data: Mapping[str, Any], name: str, default: int | None, low: int, high: int) -> int | None:
    """A field that is a whole number within bounds. Raises Invalid "run.out_of_range"."""
    value = data.get(name)
    if value is None or value == "":
        return default
    try:
        number = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not low <= number <= high or number != int(number):
        raise Invalid(
            "run.out_of_range",
            f"The field '{name}' must be a whole number from {low} to {high}.",
            {"field": name, "low": low, "high": high},
        )
    return int(number)
