"""Performance of a window, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from apps.monitoring.sandbox.performance import area_under_roc, score_classes, score_values


def test_scores_of_several_classes_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    truth, predicted = random.integers(0, 4, 300), random.integers(0, 5, 300)
    found = score_classes(truth, predicted)
    options = {"average": "macro", "zero_division": 0}
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert found["f1_macro"] == pytest.approx(metrics.f1_score(truth, predicted, **options))
    assert found["recall_macro"] == pytest.approx(metrics.recall_score(truth, predicted, **options))
    assert found["precision_macro"] == pytest.approx(metrics.precision_score(truth, predicted, **options))


def test_scores_of_two_classes_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, 200)
    score = np.round(np.clip(truth * 0.3 + random.random(200) * 0.7, 0, 1), 1)
    predicted = (score > 0.5).astype(np.int64)
    found = score_classes(truth, predicted, score, binary=True)
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, predicted))
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, score))


def test_two_classes_have_their_scores_without_probabilities_too() -> None:
    truth, predicted = np.array([1, 1, 0, 0, 0]), np.array([1, 0, 1, 0, 0])
    found = score_classes(truth, predicted, binary=True)
    assert found["precision"] == metrics.precision_score(truth, predicted)
    assert found["recall"] == metrics.recall_score(truth, predicted)
    assert "roc_auc" not in found


def test_the_area_counts_ties_half() -> None:
    assert area_under_roc(np.array([True, False]), [0.5, 0.5]) == 0.5


def test_one_class_alone_has_no_area() -> None:
    zeros = np.zeros(5, dtype=np.int64)
    assert "roc_auc" not in score_classes(zeros, zeros, np.linspace(0, 1, 5))


def test_scores_of_values_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(2)
    truth, predicted = random.normal(size=100), random.normal(size=100)
    found = score_values(truth, predicted)
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, predicted))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, predicted))
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, predicted))
    assert found["bias"] == pytest.approx((predicted - truth).mean())


def test_r2_is_left_out_when_the_truth_does_not_vary() -> None:
    assert "r2" not in score_values(np.ones(4), np.zeros(4))
