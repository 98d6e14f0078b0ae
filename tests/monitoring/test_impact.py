"""Feature impact by ablation, on models whose answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.monitoring.sandbox.impact import Predictor, mean_change, measure_impact, sample_rows


def value(frame: pd.DataFrame) -> Any:
    return 3 * frame["a"].to_numpy() + 1 * frame["b"].to_numpy()


linear = Predictor(value, lambda frame: value(frame)[:, None])


def frame(rows: int = 4000) -> pd.DataFrame:
    random = np.random.default_rng(1)
    return pd.DataFrame({name: random.normal(size=rows) for name in "abc"})


def test_impact_follows_the_coefficients_of_a_linear_model() -> None:
    found = measure_impact(linear, frame(), ["a", "b", "c"])
    assert found["a"] == pytest.approx(0.75, abs=0.02)
    assert found["b"] == pytest.approx(0.25, abs=0.02)
    assert found["c"] == 0


def test_impact_sums_to_one() -> None:
    assert sum(measure_impact(linear, frame(), ["a", "b", "c"]).values()) == pytest.approx(1)


def test_a_model_that_ignores_everything_has_no_impact() -> None:
    found = measure_impact(Predictor(lambda x: np.ones(len(x))), frame(50), ["a", "b"])
    assert found == {"a": 0.0, "b": 0.0}


def test_impact_is_the_same_for_the_same_seed() -> None:
    assert measure_impact(linear, frame(300), ["a", "b"]) == measure_impact(linear, frame(300), ["a", "b"])


def test_a_change_of_probabilities_is_the_total_variation() -> None:
    assert mean_change(np.array([[0.7, 0.2, 0.1]]), np.array([[0.1, 0.2, 0.7]])) == pytest.approx(0.6)


def test_a_model_without_probabilities_counts_changed_classes() -> None:
    assert mean_change(np.array(["x", "y", "y", "x"]), np.array(["x", "x", "y", "x"])) == 0.25


def test_the_sample_is_even_bounded_and_keeps_text(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"n": np.arange(9000), "c": ["a", "b", None] * 3000}), path, row_group_size=700)
    found = sample_rows([path], ["n", "c"], features=2)
    assert len(found) == 2000
    assert found["n"].iloc[0] == 0
    assert found["n"].iloc[-1] == 8999
    assert set(found["c"].dropna()) == {"a", "b"}
    assert len(sample_rows([path], ["n", "c"], features=100_000)) == 200
