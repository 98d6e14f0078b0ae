"""Definitions: what is accepted, and for what is not a sentence, a pointer, line and column."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.pipelines.definition import MOST_NODES, read_definition
from apps.pipelines.parameters import clean_parameters
from apps.pipelines.reading import LARGEST_TEXT, read_text
from foundation.errors import Invalid
from tests.pipelines.conftest import CHECK, FLOW, GOOD, KEEP, TRAIN, definition

TEXT = """{
  "name": "nightly",
  "parameters": {"least": {"type": "number", "default": 0.8}},
  "nodes": [
    {"name": "check", "kind": "dataset_check", "with": {"dataset": "churn"}},
    {"name": "train", "kind": "run",
     "with": {"dataset": "${check.dataset}", "target": "left", "algorithm": "linear"}},
    {"name": "good", "kind": "condition",
     "with": {"left": "${train.metrics.accuracy}", "operator": ">=", "right": "${parameters.least}"}},
    {"name": "keep", "kind": "register", "needs": ["good"],
     "with": {"model": "churn", "run": "${train.run}"}}
  ]
}"""


def refused(given: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read_definition(given)
    return caught.value


def test_a_definition_becomes_a_graph_with_layers() -> None:
    found = read_definition(TEXT)
    assert found.graph.layers == (("check",), ("train",), ("good",), ("keep",))
    assert found.graph.needs["keep"] == ("good", "train")
    assert found.digest == read_definition(FLOW).digest
    assert list(json.loads(found.source)) == ["parameters", "nodes"]


@pytest.mark.parametrize(
    ("wrong", "right", "code", "pointer", "position", "words"),
    [
        ('"operator": ">=",', '"operator": ">="', "pipeline.not_json", "", (9, 69), "a comma is missing"),
        ('"kind": "run"', '"kind": "rnu"', "pipeline.unknown_kind", "/nodes/1/kind", (6, 31), "mean 'run'"),
        ("${check.dataset}", "${chek.dataset}", "pipeline.unknown_node", "/nodes/1/with/dataset", (7, 26), "mean 'check'"),
        ("${train.run}", "${train.runs}", "pipeline.unknown_output", "/nodes/3/with/run", None, "mean 'run'"),
        ("${check.dataset}", "${check.rows}", "pipeline.wrong_type", "/nodes/1/with/dataset", (7, 26), "whole number"),
        ("parameters.least}", "parameters.lest}", "pipeline.unknown_parameter", "/nodes/2/with/right", None, "mean 'least'"),
        ('["good"]', '["god"]', "pipeline.unknown_node", "/nodes/3/needs/0", None, "mean 'good'"),
        ('"name": "good"', '"name": "train"', "pipeline.duplicate_node", "/nodes/2/name", (8, 14), "called 'train'"),
        ('"target": "left", ', "", "pipeline.missing_input", "/nodes/1/with", (7, 14), "needs 'target'"),
        ('"linear"', '"lineer"', "pipeline.field_value", "/nodes/1/with/algorithm", None, "Known are"),
        ('"linear"', "7", "pipeline.wrong_type", "/nodes/1/with/algorithm", None, "a text, not a whole number"),
        ('"default": 0.8', '"default": "x"', "pipeline.parameter_default", "/parameters/least/default", (3, 57), "is a text"),
        ('"type": "number"', '"type": "nubmer"', "pipeline.parameter_type", "/parameters/least/type", (3, 36), "mean 'number'"),
        ('"target"', '"traget"', "pipeline.unknown_field", "/nodes/1/with/traget", None, "mean 'target'"),
        ('"kind": "run",', '"kind": "run", "kind": "run",', "pipeline.duplicate_key", "/nodes/1/kind", (6, 38), "twice"),
        ("${train.run}", "${train}", "pipeline.bad_reference", "/nodes/3/with/run", None, "no reference"),
        ('">="', '"=>"', "pipeline.field_value", "/nodes/2/with/operator", None, "one of >="),
        ('"name": "nightly"', '"name": "new"', "name.invalid", "/name", (2, 11), "address of a page"),
        ('"name": "nightly",', "", "pipeline.missing_field", "", (1, 1), "no name"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(
    wrong: str, right: str, code: str, pointer: str, position: tuple[int, int] | None, words: str
) -> None:
    assert wrong in TEXT
    error = refused(TEXT.replace(wrong, right, 1))
    assert error.code == code
    assert words in error.message
    assert error.detail["pointer"] == pointer
    assert error.detail["line"] >= 1
    if position is not None:
        assert (error.detail["line"], error.detail["column"]) == position


def test_a_cycle_is_named_in_the_direction_of_the_work() -> None:
    first = {**CHECK, "needs": ["third"]}
    second = {"name": "second", "kind": "dataset_check", "needs": ["check"], "with": {"dataset": "a"}}
    third = {"name": "third", "kind": "dataset_check", "needs": ["second"], "with": {"dataset": "a"}}
    error = refused(definition(first, second, third))
    assert error.code == "pipeline.cycle"
    assert "check → second → third → check" in error.message


def test_all_faults_are_told_at_once_in_the_order_of_the_text() -> None:
    error = refused(TEXT.replace("check.dataset", "chek.dataset").replace("train.run", "tran.run"))
    assert [fault["line"] for fault in error.detail["errors"]] == sorted(
        fault["line"] for fault in error.detail["errors"]
    )
    assert len(error.detail["errors"]) == 2


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], "pipeline.field_type"),
        ("7", "pipeline.field_type"),
        ("", "pipeline.not_json"),
        ('{"name": NaN}', "pipeline.not_json"),
        ('{"name": 1e999}', "pipeline.not_a_value"),
        ('{"name": "\\u0000"}', "pipeline.not_a_value"),
        ('{"name": "\\ud800"}', "pipeline.not_a_value"),
        ("[" * 100_000, "pipeline.not_json"),
        ("[" * 30 + "]" * 30, "pipeline.too_deep"),
        ('"' + "x" * LARGEST_TEXT + '"', "pipeline.too_large"),
        ({"name": "a"}, "pipeline.missing_field"),
        ({"name": "a", "nodes": {}}, "pipeline.field_type"),
        ({"name": "a", "nodes": []}, "pipeline.no_nodes"),
        ({"name": "a", "nodes": [7]}, "pipeline.field_type"),
        ({"name": "a", "nodes": [{}]}, "pipeline.missing_field"),
        ({"name": "a", "nodes": [{"name": "parameters", "kind": "run"}]}, "pipeline.node_name"),
        ({"name": "a", "nodes": [{"name": "b c", "kind": "run"}]}, "pipeline.node_name"),
        ({"name": "a", "nodes": [{"name": "b", "kind": []}]}, "pipeline.unknown_kind"),
        ({"name": "a", "nodes": [{**CHECK, "with": []}]}, "pipeline.field_type"),
        ({"name": "a", "nodes": [{**CHECK, "needs": "b"}]}, "pipeline.field_type"),
        ({"name": "a", "nodes": [{**CHECK, "needs": [[]]}]}, "pipeline.unknown_node"),
        ({"name": "a", "nodes": [{**CHECK, "retries": 99}]}, "pipeline.field_type"),
        ({"name": "a", "nodes": [{**CHECK, "timeout": 0}]}, "pipeline.field_type"),
        ({"name": "a", "nodes": [CHECK], "concurrency": 0}, "pipeline.field_type"),
        ({"name": "a", "nodes": [CHECK], "parameters": []}, "pipeline.field_type"),
        ({"name": "a", "nodes": [CHECK], "parameters": {"b": 7}}, "pipeline.field_type"),
        ({"name": "a", "nodes": [CHECK], "parameters": {"b c": {"type": "string"}}}, "pipeline.parameter_name"),
        ({"name": "a", "nodes": [CHECK], "parameters": {"b": {"type": []}}}, "pipeline.parameter_type"),
        ({"name": "a", "nodes": [CHECK], "description": 7}, "pipeline.field_type"),
        ({"name": "a", "node": [CHECK]}, "pipeline.unknown_field"),
        (definition({**TRAIN, "with": {**TRAIN["with"], "dataset": "${train.dataset}"}}), "pipeline.own_output"),
        (definition(CHECK, TRAIN, {**KEEP, "needs": [], "with": {"model": "a b", "run": "${train.run}"}}), "pipeline.field_value"),
        (definition({**GOOD, "with": {}}), "pipeline.field_value"),
        (definition({**GOOD, "with": {"all": [{"any": []}]}}), "pipeline.field_value"),
        (definition({**GOOD, "with": {"metric": "strange", "of": {}, "better_than": {}}}), "pipeline.field_value"),
        (definition({**CHECK, "with": {"dataset": "a", "missing_at_most": 2}}), "pipeline.field_value"),
        (definition({**CHECK, "with": {"dataset": "a", "rows_at_least": -1}}), "pipeline.field_value"),
        (definition({"name": "e", "kind": "evaluate", "with": {"dataset": "a"}}), "pipeline.field_value"),
        (definition({"name": "p", "kind": "promote", "with": {"model": "a/1", "to": "prod"}}), "pipeline.field_value"),
        (definition({"name": "d", "kind": "deploy", "with": {"deployment": "a", "model": "a"}}), "pipeline.field_value"),
        (definition({**TRAIN, "with": {**TRAIN["with"], "dataset": "a", "parameters": {"no": 1}}}), "pipeline.field_value"),
        (
            definition({"name": "s", "kind": "study", "with": {"dataset": "a", "target": "b", "algorithm": "linear", "search_space": {}}}),
            "pipeline.field_value",
        ),
    ],
)  # fmt: skip
def test_bad_definitions_are_refused(given: Any, code: str) -> None:
    error = refused(given)
    assert error.code in (code, *(fault["code"] for fault in error.detail["errors"]))
    assert code in [fault["code"] for fault in error.detail["errors"]]
    assert error.message.endswith(".")


def test_too_many_nodes_are_refused() -> None:
    nodes = [{**CHECK, "name": f"n{index}"} for index in range(MOST_NODES + 1)]
    assert refused(definition(*nodes)).code == "pipeline.too_many_nodes"


def test_the_place_of_every_value_is_known() -> None:
    document = read_text('{"a": [1, {"b": "\\u00e9"}],\n "c": -1.5e3, "d/e": {}}')
    assert document.value["a"][1]["b"] == "é"
    places = {path: (place.line, place.column) for path, place in document.places.items()}
    assert places[("a", 1, "b")] == (1, 17)
    assert places[("c",)] == (2, 7)
    assert places[("d/e",)] == (2, 22)


def test_references_are_written_out_within_text_and_keep_their_type_alone() -> None:
    from apps.pipelines.references import fill

    values = {"a": 7, "b": {"c": [1]}, "t": True}
    found = fill(
        {"x": "${n.a}", "y": "v${n.a}-${n.t} $${n.a} ${n.b}", "z": ["${n.b}"]},
        lambda reference: values[reference.output],
    )
    assert found == {"x": 7, "y": 'v7-true ${n.a} {"c": [1]}', "z": [{"c": [1]}]}


def test_parameters_are_filled_up_and_checked() -> None:
    parameters = {
        "rows": {"type": "integer", "default": 5},
        "how": {"type": "string", "choices": ["a", "b"]},
    }
    found = read_definition({**FLOW, "parameters": {**FLOW["parameters"], **parameters}})
    assert clean_parameters(found, {"how": "a"}) == {"least": 0.8, "rows": 5, "how": "a"}
    for given, code in [
        ({}, "pipeline.parameter_missing"),
        ({"how": "c"}, "pipeline.parameter_value"),
        ({"how": "a", "rows": 1.5}, "pipeline.parameter_value"),
        ({"how": "a", "rows": True}, "pipeline.parameter_value"),
        ({"how": "a", "rosw": 1}, "pipeline.parameter_unknown"),
        ([], "pipeline.parameter_value"),
        ({"how": "a\x00"}, "pipeline.not_a_value"),
    ]:
        with pytest.raises(Invalid) as caught:
            clean_parameters(found, given)
        assert caught.value.code == code
