"""Reading in past events: formats, types, times, and what is said about a file that does not fit."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pyarrow.parquet as pq
import pytest

from apps.deployments import layout
from apps.deployments.sandbox.import_events import main
from foundation.tasks import Context, UserError

COLUMNS = [
    {"name": "Age", "type": "integer", "required": True},
    {"name": "Balance", "type": "number", "required": True},
    {"name": "Geography", "type": "string", "required": True},
    {"name": "Active", "type": "boolean", "required": True},
    {"name": "Since", "type": "datetime", "required": False},
]
ROWS = [
    {
        "timestamp": "2021-04-01T10:00:00Z",
        "Age": 40,
        "Balance": 1.5,
        "Geography": "Spain",
        "Active": True,
        "Since": "2020-01-01",
        "prediction": 1,
        "label": 0,
    },
    {
        "timestamp": "2021-04-02T00:00:00+02:00",
        "Age": 50,
        "Balance": 0.0,
        "Geography": "France",
        "Active": False,
        "Since": None,
        "prediction": 0,
        "label": None,
    },
]


def run(tmp_path: Path, name: str, data: bytes, **known: Any) -> dict[str, Any]:
    folder = tmp_path / "work"
    outputs = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    outputs.mkdir(exist_ok=True)
    file = tmp_path / "upload"
    file.write_bytes(data)
    payload = {"filename": name, "columns": COLUMNS, "now": "2026-01-01T00:00:00+00:00", **known}
    return main(Context(payload, {"file": file}, folder, outputs, logging.getLogger("test")))


def table(tmp_path: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        row
        for part in result["segments"]
        for row in pq.read_table(tmp_path / "out" / part["file"]).to_pylist()
    ]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    return pl.DataFrame(rows).write_csv().encode()


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_parquet(tmp_path: Path, rows: list[dict[str, Any]]) -> bytes:
    pl.DataFrame(rows).write_parquet(tmp_path / "x.parquet")
    return (tmp_path / "x.parquet").read_bytes()


@pytest.mark.parametrize("name", ["e.csv", "e.csv.gz", "e.tsv", "e.jsonl", "e.parquet", "E.JSONL.GZ"])
def test_every_format_gives_the_same_events(tmp_path: Path, name: str) -> None:
    plain = name.lower().removesuffix(".gz")
    if plain.endswith("parquet"):
        data = as_parquet(tmp_path, ROWS)
    else:
        data = as_csv(ROWS) if plain.endswith("csv") else as_lines(ROWS)
    if plain.endswith("tsv"):
        data = pl.DataFrame(ROWS).write_csv(separator="\t").encode()
    result = run(tmp_path, name, gzip.compress(data) if plain != name.lower() else data)
    assert (result["rows"], result["labelled"]) == (2, 1)
    assert result["start"] == "2021-04-01T10:00:00+00:00"
    first, second = table(tmp_path, result)
    assert (first["Age"], first["Balance"], first["Geography"], first["Active"]) == (40, 1.5, "Spain", True)
    assert second[layout.TIME].isoformat() == "2021-04-01T22:00:00+00:00"
    assert (first[layout.PREDICTION], first[layout.LABEL], second[layout.LABEL]) == (1, 0, None)
    assert first[layout.ORIGIN] == "import"
    assert layout.time_of_id(UUID(first[layout.ID])) == first[layout.TIME]


def test_events_are_cut_by_month_and_sorted(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "timestamp": f"2021-{month:02d}-15T00:00:00Z"} for month in (5, 3, 4)]
    result = run(tmp_path, "e.csv", as_csv(rows))
    assert [part["start"][:7] for part in result["segments"]] == ["2021-03", "2021-04", "2021-05"]
    times = [row[layout.TIME] for row in table(tmp_path, result)]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [(1617271200, "2021-04-01T10:00:00+00:00"), ("2021-04-01", "2021-04-01T00:00:00+00:00")],
)
def test_times_may_be_unix_seconds_or_dates(tmp_path: Path, stamp: Any, expected: str) -> None:
    assert run(tmp_path, "e.jsonl", as_lines([{**ROWS[0], "timestamp": stamp}]))["start"] == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"timestamp": "yesterday"}, "Column 'timestamp', row 2: 'yesterday' is not a time"),
        ({"timestamp": None}, "Column 'timestamp', row 2: the value is missing."),
        ({"timestamp": "1850-01-01"}, "row 2: '1850-01-01' is not a time between 1970 and now"),
        ({"timestamp": "2026-01-03"}, "row 2: '2026-01-03' is not a time between 1970 and now"),
        ({"Age": "forty"}, "Column 'Age', row 2: 'forty' is not a whole number."),
        ({"Age": None}, "Column 'Age', row 2: the value is missing."),
        ({"Balance": "much"}, "Column 'Balance', row 2: 'much' is not a number."),
        ({"Balance": "inf"}, "Column 'Balance', row 2: 'inf' is not a number."),
        ({"Balance": "NaN"}, "Column 'Balance', row 2: the value is missing."),
        ({"Active": "perhaps"}, "Column 'Active', row 2: 'perhaps' is not true or false."),
        ({"Since": "soon"}, "Column 'Since', row 2: 'soon' is not a time"),
        ({"prediction": None}, "Column 'prediction', row 2: the value is missing."),
    ],
)
def test_the_message_names_column_and_row(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    rows = [
        {k: str(v) for k, v in ROWS[0].items()},
        {k: None if v is None else str(v) for k, v in {**ROWS[0], **change}.items()},
    ]
    with pytest.raises(UserError) as caught:
        run(tmp_path, "e.csv", as_csv(rows))
    assert words in caught.value.message


@pytest.mark.parametrize("stamp", [1617271200000, 1e300, float("nan"), -1])
def test_unix_times_that_are_none_are_refused_in_a_sentence(tmp_path: Path, stamp: float) -> None:
    with pytest.raises(UserError, match=r"Column 'timestamp', row 1: .* is not a time in Unix seconds"):
        run(tmp_path, "e.csv", as_csv([{**ROWS[0], "timestamp": stamp}]))


def test_text_that_looks_like_a_number_keeps_its_zeros(tmp_path: Path) -> None:
    result = run(tmp_path, "e.csv", as_csv([{**ROWS[0], "Geography": code} for code in ("007", "1.50")]))
    assert {row["Geography"] for row in table(tmp_path, result)} == {"007", "1.50"}


@pytest.mark.parametrize(
    ("classes", "given", "kept"),
    [
        ([0, 1], ["1", "0"], [1, 0]),
        ([0, 1], ["1.0", "0.0"], [1, 0]),
        ([0, 1], ["true", "false"], [1, 0]),
        ([False, True], ["True", "0"], [True, False]),
        (["no", "yes"], ["yes", "no"], ["yes", "no"]),
        (["01", "02"], ["02", "01"], ["02", "01"]),
    ],
)
def test_answers_become_the_models_classes(
    tmp_path: Path, classes: list[Any], given: list[str], kept: list[Any]
) -> None:
    rows = [{**ROWS[0], "prediction": text, "label": text} for text in given]
    made = table(tmp_path, run(tmp_path, "e.csv", as_csv(rows), classes=classes))
    assert [row[layout.PREDICTION] for row in made] == kept
    assert [row[layout.LABEL] for row in made] == kept


@pytest.mark.parametrize("name", ["prediction", "label"])
def test_an_answer_that_the_model_cannot_give_is_refused(tmp_path: Path, name: str) -> None:
    data = as_csv([ROWS[0], {**ROWS[0], name: 7}])
    with pytest.raises(UserError, match=rf"Column '{name}', row 2: '7' is not one of the model's classes"):
        run(tmp_path, "e.csv", data, classes=[0, 1])
    with pytest.raises(UserError, match=rf"Column '{name}', row 1: 'high' is not a number"):
        run(tmp_path, "e.csv", as_csv([{**ROWS[0], name: "high"}]), numbers=True)


def test_a_fraction_is_no_whole_number(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 1: '40.5' is not a whole number"):
        run(tmp_path, "e.csv", as_csv([{**ROWS[0], "Age": 40.5}]))


def test_missing_columns_are_named_and_further_ones_ignored(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lacks the columns 'prediction', 'Age'"):
        run(tmp_path, "e.csv", as_csv([{k: v for k, v in ROWS[0].items() if k not in ("Age", "prediction")}]))
    assert run(tmp_path, "e.csv", as_csv([{**ROWS[0], "CustomerId": 7}]))["rows"] == 1


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("e.csv", b"", "events.empty"),
        ("e.csv", b"timestamp,prediction\n", "events.empty"),
        ("e.parquet", b"no parquet", "events.unreadable"),
        ("e.jsonl", b"{broken", "events.unreadable"),
        ("e.csv.gz", b"no gzip", "events.unreadable"),
        ("e.csv.gz", gzip.compress(b"timestamp,prediction\n1,2\n", mtime=0)[:-9], "events.unreadable"),
        ("e.exe", b"MZ", "events.format"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, data: bytes, code: str) -> None:
    with pytest.raises(UserError) as caught:
        run(tmp_path, name, data)
    assert caught.value.code == code
