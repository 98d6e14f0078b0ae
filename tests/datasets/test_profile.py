"""The statistics of a column, against numbers worked out by hand or by another library."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

from apps.datasets.sandbox.profile import histogram_edges

Ingest = Callable[..., Any]


def test_numbers_are_described(ingest: Ingest) -> None:
    import numpy as np

    values = np.random.default_rng(3).normal(50, 9, 1_000).round(4)
    cells = [str(value) for value in values] + ["", "NA", "inf"]
    column = ingest(("x,y\n" + "".join(f"{cell},1\n" for cell in cells)).encode()).profile["x"]
    assert (column["count"], column["missing"], column["infinite"]) == (1_003, 2, 1)
    assert column["distinct"] == len(set(values))
    assert column["min"] == values.min()
    assert column["max"] == values.max()
    assert column["mean"] == pytest.approx(values.mean())
    assert column["std"] == pytest.approx(values.std(ddof=1))
    for point, found in column["quantiles"].items():
        assert found == pytest.approx(np.quantile(values, int(point) / 100))
    counts, edges = np.histogram(values, bins=30)
    assert column["histogram"]["counts"] == list(counts)
    assert column["histogram"]["edges"] == pytest.approx(list(edges))


def test_few_whole_numbers_get_a_bin_each(ingest: Ingest) -> None:
    column = ingest(b"n,x\n" + b"1,a\n" * 5 + b"3,a\n" * 2 + b"-1,a\n" + b"0,a\n").profile["n"]
    assert column["histogram"] == {"edges": [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0], "counts": [1, 1, 5, 0, 2]}
    assert (column["zeros"], column["negatives"]) == (1, 1)
    assert column["top"][0] == {"value": 1, "count": 5}


def test_text_booleans_and_dates_are_described(ingest: Ingest) -> None:
    data = b"t,b,d,empty\nred,true,2020-01-01,\nred,false,2020-01-31,\nblue,true,,\n,true,2020-01-11,\n"
    profile = ingest(data).profile
    assert profile["t"]["top"] == [{"value": "red", "count": 2}, {"value": "blue", "count": 1}]
    assert profile["t"]["lengths"] == {"min": 3, "max": 4, "mean": pytest.approx(10 / 3)}
    assert (profile["b"]["true"], profile["b"]["false"], profile["b"]["missing"]) == (3, 1, 0)
    assert (profile["d"]["min"], profile["d"]["max"]) == ("2020-01-01T00:00:00", "2020-01-31T00:00:00")
    assert sum(profile["d"]["histogram"]["counts"]) == 3
    assert profile["d"]["quantiles"]["50"] == "2020-01-11T00:00:00"
    assert (profile["empty"]["missing"], profile["empty"]["distinct"], profile["empty"]["top"]) == (4, 0, [])


def test_values_at_the_end_of_the_range_have_no_mean_but_the_rest(ingest: Ingest) -> None:
    column = ingest(b"x,y\n1e308,1\n1.5e308,1\n-1.7e308,1\n").profile["x"]
    assert column["max"] == 1.5e308
    assert column["std"] is None
    assert column["histogram"] is None


def test_large_tables_say_that_their_counts_are_estimates(ingest: Ingest) -> None:
    lines = "".join(f"{n},{n % 10}\n" for n in range(20_000))
    profile = ingest(f"n,m\n{lines}".encode(), limits={"exact_rows": 1_000}).profile
    assert (profile["m"]["distinct"], profile["m"]["distinct_exact"]) == (10, True)
    column = profile["n"]
    assert column["distinct_exact"] is False
    assert column["distinct"] == pytest.approx(20_000, rel=0.2)
    assert column["quantiles"]["50"] == pytest.approx(10_000, rel=0.05)


def test_names_with_quotes_do_no_harm(ingest: Ingest) -> None:
    done = ingest(b'"a ""b""",c\'d\n1,2\n1,3\n')
    assert [column["distinct"] for column in done.profile.values()] == [1, 2]


def test_the_preview_holds_the_first_rows_cut_for_a_page(ingest: Ingest) -> None:
    lines = "".join(f"{n},{'x' * 500},inf,2020-01-01T10:00:00.5\n" for n in range(150))
    preview = ingest(f"n,t,f,at\n{lines}".encode()).preview
    assert len(preview["rows"]) == 100
    assert preview["columns"][3] == {"name": "at", "type": "datetime"}
    first = preview["rows"][0]
    assert first[0] == 0
    assert len(first[1]) == 200
    assert first[1].endswith("…")
    assert first[2:] == ["inf", "2020-01-01T10:00:00.500"]


@pytest.mark.parametrize(
    ("low", "high", "whole", "bins"),
    [(0, 29, True, 30), (0, 30, True, 30), (5, 5, True, 1), (2.5, 2.5, False, 1), (0, 1, False, 30)],
)
def test_edges_cover_the_range(low: float, high: float, whole: bool, bins: int) -> None:
    edges = histogram_edges(low, high, whole=whole)
    assert edges is not None
    assert len(edges) == bins + 1
    assert edges[0] <= low <= high <= edges[-1]
    assert all(first < second for first, second in itertools.pairwise(edges))


def test_a_range_without_finite_width_has_no_histogram() -> None:
    assert histogram_edges(-1.7e308, 1.7e308, whole=False) is None
    assert histogram_edges(1e300, 1e300, whole=False) is None
    assert not math.isfinite(1e308 * 10)


def test_progress_goes_up_to_the_end(ingest: Ingest) -> None:
    seen = ingest(b"a,b\n" + b"1,x\n" * 1_000).progress
    assert seen == sorted(seen)
    assert seen[-1] == 100


def test_names_of_columns_never_get_into_a_query(ingest: Ingest) -> None:
    """Names that differ in capitals only are two columns, and braces, quotes and dots are plain characters."""
    names = ["a", "A", "{x}", "{}", "%s", "se''lect", "b.c", "?", "1", "v"]
    lines = [",".join(names), *(",".join(str(row * 10 + n) for n in range(len(names))) for row in range(3))]
    profile = ingest("\n".join(lines).encode(), header="yes").profile
    assert [column["name"] for column in profile.values()] == names
    for number, name in enumerate(names):
        assert (profile[name]["min"], profile[name]["max"]) == (number, number + 20)
        assert profile[name]["mean"] == number + 10
