"""Search spaces: what the algorithms offer, what is refused and how it is said."""

from __future__ import annotations

import math
from typing import Any

import pytest

from apps.experiments import algorithms
from apps.experiments.algorithms.schema import TASKS, Algorithm
from apps.tuning.space import (
    Condition,
    Dimension,
    count_points,
    default_space,
    parse_space,
    space_json,
)
from foundation.errors import Invalid

FOREST = algorithms.every()["random_forest"]
BOOSTING = algorithms.every()["hist_gradient_boosting"]
MLP = algorithms.every()["mlp"]


def parse(space: object, algorithm: Algorithm = BOOSTING, **kwargs: Any) -> dict[str, Dimension]:
    return {d.name: d for d in parse_space(algorithm, space, **kwargs)}


def refusal(space: object, algorithm: Algorithm = BOOSTING, **kwargs: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        parse_space(algorithm, space, **kwargs)
    assert caught.value.code == "study.space"
    assert caught.value.message.endswith((".", "}}."))
    return caught.value


@pytest.mark.parametrize("algorithm", algorithms.every().values(), ids=lambda a: a.name)
@pytest.mark.parametrize("task", TASKS)
def test_what_an_algorithm_offers_is_a_space(algorithm: Algorithm, task: str) -> None:
    dimensions = parse_space(algorithm, None, task=task)
    assert [d.name for d in dimensions] == list(default_space(algorithm, task))
    assert parse_space(algorithm, space_json(dimensions), task=task) == dimensions


def test_what_is_left_out_is_the_offer_of_the_algorithm() -> None:
    found = parse({"learning_rate": {}, "max_iter": {"high": 80}, "early_stopping": {}})
    assert found["learning_rate"] == Dimension("learning_rate", "float", low=0.01, high=0.3, log=True)
    assert found["max_iter"] == Dimension("max_iter", "int", low=50, high=80, log=True)
    assert found["early_stopping"].choices == (False, True)


def test_what_is_fixed_is_left_out_of_the_offer() -> None:
    assert "learning_rate" not in parse(None, fixed={"learning_rate": 0.1})


def test_the_texts_of_a_form_become_numbers_of_the_right_type() -> None:
    found = parse({"max_leaf_nodes": {"type": "int", "low": "8", "high": "64", "log": False, "step": "8"}})
    assert found["max_leaf_nodes"] == Dimension("max_leaf_nodes", "int", low=8, high=64, step=8)
    assert found["max_leaf_nodes"].points == 8


def test_a_number_may_be_searched_by_choices_with_empty_where_it_is_allowed() -> None:
    found = parse({"max_depth": {"type": "categorical", "choices": [None, 4, "8"]}})
    assert found["max_depth"].choices == (None, 4, 8)
    assert "there twice" in refusal({"max_depth": {"choices": [4, "4"]}}).message
    assert "no choice of max_iter" in refusal({"max_iter": {"choices": [None, 4]}}).message


def test_a_range_ends_where_its_steps_do() -> None:
    found = parse({"max_features": {"low": 0.1, "high": 0.95, "step": 0.3}})
    assert found["max_features"].high == 0.7
    assert found["max_features"].points == 3


def test_a_boolean_is_not_a_number_among_the_choices() -> None:
    assert Condition("a", (True,)).holds({"a": True})
    assert not Condition("a", (True,)).holds({"a": 1})
    assert not Condition("a", low=0, high=2).holds({"a": True})


@pytest.mark.parametrize(
    ("space", "field", "says"),
    [
        ({}, "search_space", "is empty"),
        ([], "search_space", "must be an object"),
        ({"depth": {}}, "search_space.depth", "no parameter 'depth'"),
        ({"max_iter": 5}, "search_space.max_iter", "must be an object"),
        ({"max_iter": {"min": 5}}, "search_space.max_iter.min", "no field 'min'"),
        ({"max_iter": {"low": 50, "high": 20}}, "search_space.max_iter.low", "low 50 is above high 20"),
        ({"max_iter": {"low": 0}}, "search_space.max_iter.low", "the algorithm allows 1 to 5000"),
        ({"max_iter": {"high": 6000}}, "search_space.max_iter.high", "the algorithm allows 1 to 5000"),
        (
            {"l2_regularization": {"low": 0, "high": 1, "log": True}},
            "search_space.l2_regularization.low",
            "log scale of l2_regularization needs a low above zero",
        ),
        (
            {"max_iter": {"low": 10, "high": 50, "log": True, "step": 5}},
            "search_space.max_iter.step",
            "both a log scale and a step",
        ),
        ({"max_iter": {"low": 10, "high": 50, "step": 0}}, "search_space.max_iter.step", "above zero"),
        ({"max_iter": {"low": 10, "high": 50, "step": -5}}, "search_space.max_iter.step", "above zero"),
        ({"max_iter": {"low": 10, "high": 50, "step": 90}}, "search_space.max_iter.step", "wider than its"),
        ({"max_iter": {"low": 10, "high": 50, "step": 2.5}}, "search_space.max_iter.step", "whole number"),
        ({"max_iter": {"low": "many"}}, "search_space.max_iter.low", "'many'; it must be a finite number"),
        ({"max_iter": {"low": math.nan}}, "search_space.max_iter.low", "finite number"),
        ({"max_iter": {"high": 10**400}}, "search_space.max_iter.high", "finite number"),
        ({"max_iter": {"low": True}}, "search_space.max_iter.low", "finite number"),
        ({"max_iter": {"low": 1.5}}, "search_space.max_iter.low", "whole number"),
        ({"max_iter": {"log": "yes"}}, "search_space.max_iter.log", "true or false"),
        ({"max_iter": {"type": "float"}}, "search_space.max_iter.type", "int or categorical"),
        ({"max_iter": {"type": "uniform"}}, "search_space.max_iter.type", "float, int or categorical"),
        ({"early_stopping": {"type": "int"}}, "search_space.early_stopping.type", "its type is categorical"),
        ({"class_weight": {"choices": []}}, "search_space.class_weight.choices", "no choices"),
        ({"class_weight": {"choices": "none"}}, "search_space.class_weight.choices", "must be a list"),
        ({"class_weight": {"choices": ["heavy"]}}, "search_space.class_weight.choices", "one of none"),
        (
            {"class_weight": {"choices": ["none", "none"]}},
            "search_space.class_weight.choices",
            "there twice",
        ),
        ({"class_weight": {"low": 1}}, "search_space.class_weight.low", "by choices and has no low"),
        ({"max_iter": {"type": "int", "choices": [1]}}, "search_space.max_iter.choices", "is categorical"),
        ({"max_depth": {"choices": list(range(1, 102))}}, "search_space.max_depth.choices", "at most 100"),
        ({"max_iter": {"low": 50, "high": 50}}, "search_space.max_iter", "single point"),
        ({"class_weight": {"choices": ["none"]}}, "search_space.class_weight", "single point"),
    ],
)
def test_it_refuses_with_the_field_and_a_sentence(space: object, field: str, says: str) -> None:
    error = refusal(space)
    assert error.detail["field"] == field
    assert says in error.message


def test_it_refuses_a_parameter_that_is_fixed_and_searched() -> None:
    error = refusal({"max_iter": {}}, fixed={"max_iter": 5})
    assert error.detail["field"] == "search_space.max_iter"
    assert "both fixed and searched" in error.message


def test_it_refuses_a_parameter_of_the_other_task() -> None:
    assert "for regression" in refusal({"class_weight": {}}, task="regression").message


def test_a_condition_puts_its_parameter_first_and_decides_who_takes_part() -> None:
    space = {
        "n_layers": {"low": 1, "high": 3, "when": {"activation": ["relu"]}},
        "activation": {},
        "units": {"when": {"n_layers": {"low": 2}}},
    }
    found = parse_space(MLP, space)
    assert [d.name for d in found] == ["activation", "n_layers", "units"]
    units = found[2]
    assert units.active({"activation": "relu", "n_layers": 2})
    assert not units.active({"activation": "relu", "n_layers": 1})
    assert not units.active({"activation": "tanh"})
    assert parse_space(MLP, space_json(found)) == found


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ({"depth": [1]}, "waits for 'depth', which is not searched"),
        ({"alpha": [1]}, "which is not searched"),
        ({"activation": ["sigmoid"]}, "never tried"),
        ({"n_layers": {"low": 7}}, "never tried"),
        ({"n_layers": [9]}, "never tried"),
        ({"n_layers": []}, "at least one value"),
        ({"n_layers": {"above": 1}}, "takes low, high or a list"),
        ({"units": [32]}, "form a circle: units → units"),
        ("n_layers", "must be an object"),
    ],
)
def test_it_refuses_a_condition_that_cannot_be(when: object, says: str) -> None:
    error = refusal({"n_layers": {}, "activation": {}, "units": {"when": when}}, MLP)
    assert error.detail["field"] == "search_space.units.when"
    assert says in error.message


def test_it_names_the_circle_of_conditions() -> None:
    error = refusal(
        {
            "n_layers": {"when": {"units": {"low": 20}}},
            "units": {"when": {"alpha": {"high": 1}}},
            "alpha": {"when": {"n_layers": [1]}},
        },
        MLP,
    )
    assert error.detail["cycle"] == ["n_layers", "units", "alpha", "n_layers"]


def test_it_counts_the_points_of_a_space() -> None:
    assert count_points(parse_space(FOREST, {"max_depth": {"low": 2, "high": 5}, "max_features": {}})) == 12
    assert count_points(parse_space(BOOSTING, {"learning_rate": {}})) == math.inf
