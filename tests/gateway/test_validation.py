"""What a prediction request may look like, and what is said when it does not."""

from __future__ import annotations

from typing import Any

import pytest

from foundation.errors import Invalid, TooLarge
from gateway.ports import Column, Signature
from gateway.validation import MAX_PROBLEMS, read_rows

SIGNATURE = Signature(
    columns=(
        Column("Age", "integer"),
        Column("Balance", "number"),
        Column("Geography", "string"),
        Column("IsActive", "boolean"),
        Column("Since", "datetime", required=False),
    )
)
GOOD: dict[str, Any] = {
    "Age": 40,
    "Balance": 1.5,
    "Geography": "Spain",
    "IsActive": True,
    "Since": "2021-04-01",
}


def problem(payload: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read_rows(payload, SIGNATURE, limit=100)
    return caught.value


def test_values_come_out_in_the_order_of_the_signature() -> None:
    shuffled = dict(reversed(GOOD.items()))
    assert read_rows({"records": [shuffled]}, SIGNATURE, limit=1) == [
        [40, 1.5, "Spain", True, "2021-04-01T00:00:00"]
    ]


def test_an_optional_column_may_be_absent_or_null() -> None:
    without = {k: v for k, v in GOOD.items() if k != "Since"}
    assert (
        read_rows({"records": [without, {**GOOD, "Since": None}]}, SIGNATURE, limit=2)
        == [[40, 1.5, "Spain", True, None]] * 2
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Age": "40"}, "Record 1: column 'Age' must be a whole number, not '40'."),
        ({"Age": 40.5}, "Record 1: column 'Age' must be a whole number, not 40.5."),
        ({"Age": True}, "Record 1: column 'Age' must be a whole number, not true."),
        ({"Age": 2**70}, "column 'Age' must be a whole number"),
        ({"Age": None}, "Record 1: column 'Age' may not be null."),
        ({"Balance": "much"}, "Record 1: column 'Balance' must be a number, not 'much'."),
        ({"Balance": float("nan")}, "column 'Balance' must be a number, not nan."),
        ({"Balance": [1]}, "column 'Balance' must be a number, not a list."),
        ({"Geography": 7}, "column 'Geography' must be text, not 7."),
        ({"Geography": "a\x00b"}, "column 'Geography' must be text"),
        ({"Geography": "\ud800"}, "column 'Geography' must be text"),
        ({"IsActive": 1}, "column 'IsActive' must be true or false, not 1."),
        ({"Since": "yesterday"}, "column 'Since' must be a date or time"),
        ({"Since": "9999-12-31"}, "from 1678 to 2261, not '9999-12-31'"),
        ({"Since": "0001-01-01"}, "from 1678 to 2261, not '0001-01-01'"),
        ({"Extra": 1}, "Record 1: the model has no column 'Extra'."),
    ],
)
def test_the_message_names_record_and_column(change: dict[str, Any], words: str) -> None:
    error = problem({"records": [GOOD, {**GOOD, **change}]})
    assert error.code == "predict.invalid"
    assert words in error.message
    assert error.detail["problems"][0]["record"] == 1


def test_a_missing_column_is_named() -> None:
    error = problem({"records": [{k: v for k, v in GOOD.items() if k != "Age"}]})
    assert error.message == "Record 0: column 'Age' is missing."
    assert error.detail["problems"][0]["problem"] == "missing"


def test_whole_floats_count_as_whole_numbers() -> None:
    assert read_rows({"records": [{**GOOD, "Age": 40.0}]}, SIGNATURE, limit=1)[0][0] == 40


def test_problems_are_listed_up_to_a_limit_and_counted() -> None:
    error = problem({"records": [{**GOOD, "Age": "x"}] * 50})
    assert len(error.detail["problems"]) == MAX_PROBLEMS
    assert error.detail["count"] == 50
    assert "(49 more problems)" in error.message


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"records": []},
        {"records": {}},
        {"records": [GOOD], "rows": [[]]},
        {"records": [GOOD], "columns": []},
        {"rows": [[1]], "columns": "Age"},
        {"rows": [[1, 1]], "columns": ["Age", "Age"]},
        {"instances": [GOOD]},
    ],
)
def test_another_shape_is_refused(payload: Any) -> None:
    assert problem(payload).code == "predict.shape"


def test_a_record_that_is_no_object_is_refused() -> None:
    assert "Record 0 is not an object" in problem({"records": [7]}).message


def test_rows_of_another_width_are_refused() -> None:
    assert "Row 0 has 2 values; 5 are expected." in problem({"rows": [[1, 2]]}).message


def test_columns_that_lack_one_are_refused() -> None:
    assert "Column 'Balance' is missing." in problem({"rows": [[1]], "columns": ["Age"]}).message


def test_too_many_records_are_a_413() -> None:
    with pytest.raises(TooLarge):
        read_rows({"records": [GOOD] * 101}, SIGNATURE, limit=100)
