"""Sketches: the bins of a baseline, and counts of windows in them."""

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.monitoring.sandbox import columns, tables
from apps.monitoring.sandbox.baseline import build_sketches, sketch_column
from apps.monitoring.sandbox.sketch import DISCRETE, Sketch, count_edges
from foundation.tasks import UserError


def sketch(values: object, name: str = "x") -> Sketch:
    return sketch_column(name, pa.chunked_array([pa.array(values)]))


def count(found: Sketch, values: object) -> dict[str, int]:
    column = pa.chunked_array([pa.array(values)])
    counts, _ = found.count(column, [(0, len(column))])
    return {label: int(rows) for label, rows in zip(found.labels(), counts[0], strict=True) if rows}


def test_a_continuous_column_gets_ten_equal_bins() -> None:
    found = sketch(np.arange(1000.0))
    assert found.kind == columns.NUMERIC
    assert max(found.counts[2:-1]) - min(found.counts[2:-1]) <= 2
    assert found.rows == 1000


def test_the_extremes_of_the_baseline_lie_inside_its_range() -> None:
    found = sketch(np.linspace(-3, 3, 500))
    assert found.counts[1] == found.counts[-1] == 0
    counts, _ = found.count(pa.chunked_array([pa.array([-3.0, 3.0, -3.1, 3.1])]), [(0, 4)])
    assert (counts[0][1], counts[0][-1]) == (1, 1)


def test_a_value_that_fills_a_quantile_gets_a_bin_of_its_own() -> None:
    random = np.random.default_rng(0)
    balance = np.concatenate([np.zeros(400), random.uniform(1, 1000, 600)])
    assert 400 in sketch(balance).counts


def test_missing_and_infinite_values_have_their_bins() -> None:
    found = sketch([*np.arange(100.0).tolist(), None, float("nan"), float("inf")])
    assert found.counts[0] == 2
    assert found.counts[-1] == 1


def test_few_whole_numbers_are_compared_by_value() -> None:
    found = sketch([1, 2, 2, 3] * 25)
    assert found.kind == DISCRETE
    assert count(found, [1, 4, None, 2]) == {"missing": 1, "1": 1, "2": 1, "other": 1}


def test_few_rows_of_a_continuous_column_are_not_taken_for_discrete() -> None:
    assert sketch(np.random.default_rng(1).normal(size=15)).kind == columns.NUMERIC


def test_a_category_that_the_baseline_never_held_is_unseen() -> None:
    found = sketch(["France", "Spain", None] * 10)
    assert count(found, ["France", "Peru", None]) == {"missing": 1, "France": 1, "unseen": 1}


def test_rare_categories_share_a_bin_and_are_not_unseen() -> None:
    values = [f"v{i:03}" for i in range(80) for _ in range(80 - i)]
    found = sketch(values)
    assert len(found.values) == 50
    assert count(found, ["v079", "v000", "never"]) == {"v000": 1, "other": 1, "unseen": 1}


def test_with_thousands_of_categories_unseen_is_not_claimed() -> None:
    found = sketch([f"id{i}" for i in range(5000)])
    assert found.known is None
    assert count(found, ["never"]) == {"other": 1}


def test_booleans_match_the_numbers_that_clients_send_for_them() -> None:
    found = sketch([True, False] * 20)
    assert count(found, [1, 0, 1]) == {"false": 1, "true": 2}


def test_text_where_numbers_belong_is_a_type_error_and_missing() -> None:
    found = sketch(np.arange(100.0))
    counts, mistyped = found.count(pa.chunked_array([pa.array(["5.5", "many", None])]), [(0, 3)])
    assert mistyped == 1
    assert counts[0][0] == 2


def test_dates_are_compared_as_moments() -> None:
    days = [datetime.date(2021, 1, 1) + datetime.timedelta(days=i) for i in range(365)]
    found = sketch(days)
    assert found.kind == columns.NUMERIC
    moments = pa.chunked_array([pa.array([datetime.datetime(2022, 6, 1)], pa.timestamp("ns"))])
    counts, _ = found.count(moments, [(0, 1)])
    assert counts[0][-1] == 1


@pytest.mark.parametrize(
    "values", [np.arange(500.0), [1, 2, 3] * 40, ["a", "b", None] * 9, [None, None], [True]]
)
def test_it_survives_the_way_through_json(values: object) -> None:
    found = sketch(values)
    assert Sketch.from_json(found.to_json()) == found
    assert len(found.labels()) == found.bins == len(found.counts)


def test_counting_by_comparison_equals_numpys_histogram() -> None:
    random = np.random.default_rng(5)
    numbers = random.normal(size=10_000)
    edges = np.linspace(-2, 2, 9)
    found = count_edges(numbers, edges.tolist())
    inside = numbers[(numbers >= -2) & (numbers < 2)]
    assert found[2:-1].tolist() == np.histogram(inside, bins=edges)[0].tolist()
    assert found.sum() == 10_000


def test_parts_and_row_groups_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PIECE_ROWS", 300)
    random = np.random.default_rng(2)
    whole = pa.table({"n": random.normal(size=2000), "c": random.choice(["a", "b", "c"], 2000)})
    for part in range(4):
        pq.write_table(whole.slice(part * 500, 500), tmp_path / f"{part}.parquet", row_group_size=100)
    paths = sorted(tmp_path.iterdir())
    in_parts = build_sketches(paths, ["n", "c"])
    pq.write_table(whole, tmp_path / "whole.parquet")
    at_once = build_sketches([tmp_path / "whole.parquet"], ["n", "c"])
    assert in_parts == at_once


def test_a_damaged_part_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError) as caught:
        list(tables.read_pieces([tmp_path / "bad.parquet"], ["x"]))
    assert caught.value.code == "monitor.unreadable"
