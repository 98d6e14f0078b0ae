"""The plug-ins: their manifests, their parameter schema, what it refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from apps.experiments import algorithms
from apps.experiments.algorithms.lightgbm import manifest as lightgbm_manifest
from apps.experiments.algorithms.schema import TASKS, Algorithm, Parameter
from foundation.errors import Invalid

ALL = list(algorithms.every().values())
each = pytest.mark.parametrize("algorithm", ALL, ids=lambda a: a.name)


def test_the_promised_algorithms_are_there() -> None:
    assert set(algorithms.every()) >= {"linear", "random_forest", "hist_gradient_boosting", "mlp", "lightgbm"}


@each
def test_a_default_is_itself_allowed(algorithm: Algorithm) -> None:
    for parameter in algorithm.parameters:
        assert parameter.clean(parameter.default) == parameter.default
        assert parameter.help
        assert parameter.help.endswith(".")


@each
def test_numbers_have_a_range_and_categories_have_choices(algorithm: Algorithm) -> None:
    for parameter in algorithm.parameters:
        if parameter.type in ("float", "int"):
            assert parameter.low is not None
            assert parameter.high is not None
            assert parameter.low < parameter.high
            assert not parameter.log or parameter.low > 0
        if parameter.type == "categorical":
            assert parameter.default in parameter.choices


@each
def test_the_offered_search_lies_within_the_limits(algorithm: Algorithm) -> None:
    for parameter in algorithm.parameters:
        offered = parameter.search_range
        if offered["type"] == "categorical":
            assert all(parameter.clean(choice) == choice for choice in offered["choices"])
            continue
        assert parameter.low <= offered["low"] < offered["high"] <= parameter.high, parameter.name
        assert not offered["log"] or (offered["low"] > 0 and offered["step"] is None), parameter.name
    for task in TASKS:
        assert any(p.search.offered for p in algorithm.parameters_for(task))


@each
@pytest.mark.parametrize("task", TASKS)
def test_defaults_and_both_ends_of_every_range_build_an_estimator(algorithm: Algorithm, task: str) -> None:
    if algorithm.missing():
        pytest.skip(str(algorithm.missing()))
    defaults = algorithm.clean({}, task)
    assert algorithm.build(task, defaults, 1).get_params()
    for parameter in algorithm.parameters_for(task):
        ends = parameter.choices or [v for v in (parameter.low, parameter.high) if v is not None]
        for end in [*ends, None] if parameter.nullable else ends:
            cleaned = algorithm.clean({**defaults, parameter.name: end}, task)
            algorithm.build(task, cleaned, 1)


def test_it_names_the_known_algorithms_when_one_is_unknown() -> None:
    with pytest.raises(Invalid) as caught:
        algorithms.get("perceptron9000")
    assert caught.value.code == "algorithm.unknown"
    assert "random_forest" in caught.value.message


@pytest.mark.parametrize("value", [None, "", 3, ["linear"], {"name": "linear"}])
def test_it_refuses_what_is_no_name_of_an_algorithm(value: object) -> None:
    with pytest.raises(Invalid) as caught:
        algorithms.get(value)
    assert caught.value.detail["field"] == "algorithm"


def test_it_hides_lightgbm_with_a_reason_where_its_library_does_not_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = "LightGBM is hidden because the system library libgomp.so.1 does not load."
    monkeypatch.setattr(lightgbm_manifest, "probe", lambda: reason)
    assert "lightgbm" not in {a.name for a in algorithms.available()}
    assert [(a.name, why) for a, why in algorithms.unavailable()] == [("lightgbm", reason)]
    with pytest.raises(Invalid) as caught:
        algorithms.get("lightgbm")
    assert caught.value.code == "algorithm.unavailable"


def test_asking_which_algorithms_there_are_loads_no_library() -> None:
    code = (
        "import sys; from apps.experiments import algorithms; algorithms.available();"
        "print([m for m in ('sklearn', 'lightgbm', 'numpy', 'pandas', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ".:platform"},
    )
    assert done.stdout.strip() == "[]"


DEPTH = Parameter("depth", "int", None, "Depth", "How deep.", low=1, high=10, nullable=True)
RATE = Parameter("rate", "float", 0.1, "Rate", "How fast.", low=0.01, high=1.0, log=True)
KIND = Parameter("kind", "categorical", "a", "Kind", "Which.", choices=("a", "b"))
FLAG = Parameter("flag", "boolean", True, "Flag", "Whether.", tasks=("regression",))
TOY = Algorithm("toy", "Toy", "For tests.", (DEPTH, RATE, KIND, FLAG))


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ({"depth": 3}, 3),
        ({"depth": 3.0}, 3),
        ({"depth": "3"}, 3),
        ({"depth": ""}, None),
        ({"depth": None}, None),
    ],
)
def test_it_accepts_json_and_the_strings_of_a_form(given: dict[str, object], cleaned: object) -> None:
    assert TOY.clean(given)["depth"] == cleaned


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"depth": 0}, "parameter.out_of_range"),
        ({"depth": 11}, "parameter.out_of_range"),
        ({"depth": 2.5}, "parameter.invalid"),
        ({"depth": True}, "parameter.invalid"),
        ({"depth": [1]}, "parameter.invalid"),
        ({"depth": 10**400}, "parameter.out_of_range"),
        ({"rate": "fast"}, "parameter.invalid"),
        ({"rate": float("nan")}, "parameter.invalid"),
        ({"rate": float("inf")}, "parameter.invalid"),
        ({"rate": 0}, "parameter.out_of_range"),
        ({"rate": None}, "parameter.invalid"),
        ({"rate": 10**400}, "parameter.out_of_range"),
        ({"kind": "c"}, "parameter.out_of_range"),
        ({"kind": 1}, "parameter.out_of_range"),
        ({"flag": "perhaps"}, "parameter.invalid"),
        ({"flag": 1}, "parameter.invalid"),
    ],
)
def test_it_refuses_a_value_with_the_field_and_the_allowed_range(given: dict[str, object], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        TOY.clean(given)
    (name,) = given
    assert caught.value.code == code
    assert caught.value.detail["field"] == f"parameters.{name}"
    assert (
        TOY.parameters_for(None)[[p.name for p in TOY.parameters].index(name)].range_text
        in caught.value.message
    )


def test_it_names_an_unknown_parameter_and_the_known_ones() -> None:
    with pytest.raises(Invalid) as caught:
        TOY.clean({"colour": 1})
    assert caught.value.code == "parameter.unknown"
    assert caught.value.detail == {"field": "parameters.colour", "known": ["depth", "rate", "kind", "flag"]}


def test_a_parameter_of_another_task_is_unknown() -> None:
    assert "flag" not in TOY.clean({}, "classification")
    with pytest.raises(Invalid):
        TOY.clean({"flag": True}, "classification")


@pytest.mark.parametrize("values", ["depth=3", [1], 7])
def test_parameters_must_be_an_object(values: object) -> None:
    with pytest.raises(Invalid) as caught:
        TOY.clean(values)
    assert caught.value.detail["field"] == "parameters"
