"""Rules that watch metrics: what they take, when they apply, and what follows."""

from __future__ import annotations

import math
from typing import Any

import pytest

from adapters.tracking import MetricPoint
from apps.experiments.rules.judging import judge, not_improving, overfitting
from apps.experiments.rules.spec import given_rules, kept, read_rules
from foundation.errors import Invalid


def points(values: list[float], *, step: int = 1, first: int = 0) -> list[MetricPoint]:
    return [MetricPoint(first + n * step, n, value) for n, value in enumerate(values)]


def a_rule(**given: Any) -> dict[str, Any]:
    return read_rules([given])[0]


def test_a_rule_is_filled_up_with_what_usually_holds() -> None:
    assert read_rules([{"rule": "not_a_number"}]) == [
        {"rule": "not_a_number", "metric": "", "action": "warn"}
    ]
    assert a_rule(rule="not_improving", metric="val_accuracy", action="stop") == {
        "rule": "not_improving",
        "metric": "val_accuracy",
        "action": "stop",
        "direction": "max",
        "steps": 10,
        "min_change": 0.0,
    }
    rule = a_rule(rule="overfitting", metric="val_loss", training="loss")
    assert (rule["gap"], rule["steps"], rule["direction"]) == (0.2, 3, "min")
    assert read_rules(None) == read_rules("") == read_rules([]) == []


def test_rules_can_be_asked_for_again() -> None:
    given = read_rules([{"rule": "overfitting", "metric": "val_loss", "training": "loss", "action": "stop"}])
    held = kept(given)
    held["rules"][0] |= {"state": "warned", "message": "…", "step": 3, "value": 1.0, "at": "2026"}
    assert read_rules(given_rules(held)) == given


@pytest.mark.parametrize(
    ("rules", "field", "words"),
    [
        ("nan", "rules", "list"),
        ({"rule": "not_a_number"}, "rules", "list"),
        ([1], "rules.0", "object"),
        ([{}], "rules.0.rule", "one of not_a_number"),
        ([{"rule": "exploding"}], "rules.0.rule", "one of"),
        ([{"rule": ["x"]}], "rules.0.rule", "one of"),
        ([{"rule": "not_a_number", "steps": 3}], "rules.0", "no field 'steps'"),
        ([{"rule": "not_a_number", "action": "email"}], "rules.0.action", "warn or stop"),
        ([{"rule": "not_improving"}], "rules.0.metric", "needs the metric"),
        ([{"rule": "not_improving", "metric": 3}], "rules.0.metric", "needs the metric"),
        ([{"rule": "not_improving", "metric": "a\x00"}], "rules.0.metric", "250"),
        ([{"rule": "not_improving", "metric": "a", "steps": 0}], "rules.0.steps", "whole number"),
        ([{"rule": "not_improving", "metric": "a", "steps": 1.5}], "rules.0.steps", "whole number"),
        ([{"rule": "not_improving", "metric": "a", "steps": "many"}], "rules.0.steps", "whole number"),
        ([{"rule": "not_improving", "metric": "a", "direction": "up"}], "rules.0.direction", "min"),
        ([{"rule": "not_improving", "metric": "a", "min_change": -1}], "rules.0.min_change", "from 0"),
        ([{"rule": "overfitting", "metric": "a"}], "rules.0.training", "training metric"),
        ([{"rule": "overfitting", "metric": "a", "training": "a"}], "rules.0.training", "the same"),
        (
            [{"rule": "overfitting", "metric": "a", "training": "b", "gap": math.nan}],
            "rules.0.gap",
            "number from",
        ),
        ([{"rule": "not_a_number"}] * 21, "rules", "20 rules"),
    ],
)
def test_it_refuses_what_is_no_rule_and_names_the_field(rules: Any, field: str, words: str) -> None:
    with pytest.raises(Invalid, match=words) as caught:
        read_rules(rules)
    assert caught.value.detail["field"] == field


def test_a_loss_that_falls_is_left_alone() -> None:
    rule = a_rule(rule="not_improving", metric="loss", steps=3)
    assert not_improving(rule, points([5, 4, 4.5, 4.2, 3.9, 3.95, 3.99])) is None
    assert not_improving(rule, []) is None


def test_a_loss_that_has_not_fallen_for_some_steps_is_told() -> None:
    rule = a_rule(rule="not_improving", metric="loss", steps=3)
    found = not_improving(rule, points([5, 4, 4.5, 4.2, 4.1, 1]))
    assert found is not None
    assert (found.step, found.value) == (4, 4.1)
    assert found.message == "loss has not fallen for 3 steps: 4 at step 1 is still the best."


def test_steps_are_those_of_the_metric_and_where_it_has_none_its_values() -> None:
    rule = a_rule(rule="not_improving", metric="loss", steps=200)
    assert not_improving(rule, points([5.0, 5.0, 5.0], step=100)) is not None
    assert not_improving(rule, points([5.0, 5.0], step=100)) is None
    without = a_rule(rule="not_improving", metric="loss", steps=2)
    assert not_improving(without, [MetricPoint(0, n, 5.0) for n in range(3)]) is not None


def test_more_is_better_for_an_accuracy() -> None:
    rule = a_rule(rule="not_improving", metric="accuracy", steps=2)
    assert not_improving(rule, points([0.1, 0.2, 0.3])) is None
    found = not_improving(rule, points([0.3, 0.2, 0.1]))
    assert found is not None
    assert "has not risen for 2 steps" in found.message


def test_a_gain_smaller_than_the_least_is_none() -> None:
    rule = a_rule(rule="not_improving", metric="loss", steps=3, min_change=0.1)
    assert not_improving(rule, points([1.0, 0.99, 0.98, 0.97])) is not None


def test_overfitting_is_a_gap_that_stays() -> None:
    rule = a_rule(rule="overfitting", metric="val_loss", training="loss", gap=0.2, steps=2)
    train = points([1.0, 0.5, 0.4, 0.3, 0.2])
    assert overfitting(rule, points([1.1, 0.7, 0.45, 0.4, 0.22]), train) is None
    found = overfitting(rule, points([1.1, 0.55, 0.6, 0.6, 0.6]), train)
    assert found is not None
    assert found.step == 3
    assert found.message.startswith("val_loss is 100% above loss at step 3 (0.6 against 0.3)")
    assert overfitting(rule, points([9.0] * 3, first=100), train) is None


def test_overfitting_of_a_score_looks_the_other_way() -> None:
    rule = a_rule(rule="overfitting", metric="val_accuracy", training="accuracy", gap=0.1, steps=1)
    found = overfitting(rule, points([0.7]), points([0.99]))
    assert found is not None
    assert "below accuracy" in found.message


@pytest.mark.parametrize(("value", "word"), [(math.nan, "not a number"), (math.inf, "infinite")])
def test_not_a_number_is_told_with_the_metric(value: float, word: str) -> None:
    rule = a_rule(rule="not_a_number", action="stop")
    found = judge(rule, lambda name: [], lambda name: ("loss", MetricPoint(7, 0, value)))
    assert found is not None
    assert (found.message, found.step, found.value) == (f"loss is {word} at step 7.", 7, None)
    assert judge(rule, lambda name: [], lambda name: None) is None
