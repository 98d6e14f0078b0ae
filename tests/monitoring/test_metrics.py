"""Drift metrics against hand-computed values, SciPy, and the sampling theory they cite."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from apps.monitoring.sandbox.metrics import METRICS, jensen_shannon, psi


def test_the_distance_of_two_halves_matches_the_value_by_hand() -> None:
    # P = (1/2, 1/2), Q = (1, 0): M = (3/4, 1/4); JSD = ½(½ log2 ⅔ + ½ log2 2) + ½ log2 4/3 = 0.311278…
    found = jensen_shannon.measure([5, 5], [[10, 0]])
    assert found == pytest.approx([0.3112781244591328**0.5])


def test_the_distance_agrees_with_scipy_on_random_counts() -> None:
    random = np.random.default_rng(7)
    baseline = random.integers(0, 50, 12)
    windows = random.integers(0, 50, (30, 12))
    expected = [jensenshannon(baseline, window, base=2) for window in windows]
    assert jensen_shannon.measure(baseline, windows) == pytest.approx(expected)


def test_equal_shares_are_at_distance_zero_and_disjoint_ones_at_one() -> None:
    assert jensen_shannon.measure([10, 20, 0], [[1, 2, 0]]) == pytest.approx([0.0], abs=1e-9)
    assert jensen_shannon.measure([10, 0], [[0, 3]]) == pytest.approx([1.0])


def test_the_distance_is_symmetric() -> None:
    one, other = [3, 9, 1], [7, 2, 5]
    assert jensen_shannon.measure(one, [other]) == pytest.approx(jensen_shannon.measure(other, [one]))


@pytest.mark.parametrize("name", METRICS)
def test_an_empty_window_has_no_value(name: str) -> None:
    assert np.isnan(METRICS[name].measure([1, 2], [[0, 0]])).all()


def test_the_index_matches_the_value_by_hand() -> None:
    # With half a row added: p = (50.5, 50.5)/101, q = (20.5, 80.5)/101.
    p, q = np.array([0.5, 0.5]), np.array([20.5, 80.5]) / 101
    expected = ((q - p) * np.log(q / p)).sum()
    assert psi.measure([50, 50], [[20, 80]]) == pytest.approx([expected])


def test_the_index_stays_finite_when_a_bin_is_empty_on_one_side() -> None:
    assert np.isfinite(psi.measure([50, 50, 0], [[0, 80, 20]])).all()


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("rows", [200, 1000])
def test_noise_is_exceeded_about_as_often_as_it_says(name: str, rows: int) -> None:
    random = np.random.default_rng(rows)
    shares = np.full(10, 0.1)
    baseline = random.multinomial(10_000, shares)
    windows = random.multinomial(rows, shares, size=4000)
    metric = METRICS[name]
    above = (metric.measure(baseline, windows) > metric.noise(baseline, windows, alpha=0.05)).mean()
    assert 0.02 < above < 0.10


def test_a_window_of_200_rows_lies_far_from_zero_without_any_drift() -> None:
    # The reason for the noise rule: E[JSD] ≈ (k - 1)(1/n + 1/N) / (8 ln 2).
    random = np.random.default_rng(3)
    shares = np.full(10, 0.1)
    baseline = random.multinomial(10_000, shares)
    windows = random.multinomial(200, shares, size=2000)
    mean = (jensen_shannon.measure(baseline, windows) ** 2).mean()
    assert mean == pytest.approx(9 * (1 / 200 + 1 / 10_000) / (8 * np.log(2)), rel=0.1)
