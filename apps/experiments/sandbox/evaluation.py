"""Judges predictions: metrics per task, and the numbers behind each figure.

All functions are pure: arrays in, plain Python out. Shapes: y and predicted (rows,), probabilities
(rows, classes) with columns in the order of `classes`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from sklearn import metrics

#: Points kept of a curve: enough for a screen, small enough for a page.
CURVE_POINTS = 300
SCATTER_POINTS = 1000
#: One-vs-rest curves are drawn for at most so many classes.
CLASSES_DRAWN = 10


def classification_metrics(
    y: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None, classes: np.ndarray
) -> dict[str, float]:
    """Metrics of metric_catalogue for classes; those that the rows do not define are left out.

    roc_auc and the probability scores need every class among the true values; with two classes the second
    one (in sorted order) is the positive one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            "accuracy": metrics.accuracy_score(y, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, predicted),
        }
        for name in ("f1", "precision", "recall"):
            score = getattr(metrics, f"{name}_score")
            found[f"{name}_macro"] = score(y, predicted, average="macro", labels=classes, zero_division=0)
            if len(classes) == 2:
                found[name] = score(y, predicted, pos_label=classes[1], zero_division=0)
        if probabilities is not None:
            found |= _probability_metrics(y, probabilities, classes)
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _probability_metrics(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    onehot = (y[:, None] == classes[None, :]).astype(float)
    found = {
        "log_loss": metrics.log_loss(y, probabilities, labels=classes),
        # Brier (1950): with two classes the usual form about the positive class, else summed over classes.
        "brier": float(np.mean(np.sum((probabilities - onehot) ** 2, axis=1)))
        / (2 if len(classes) == 2 else 1),
    }
    if np.unique(y).size == len(classes):
        if len(classes) == 2:
            found["roc_auc"] = metrics.roc_auc_score(onehot[:, 1], probabilities[:, 1])
            found["average_precision"] = metrics.average_precision_score(onehot[:, 1], probabilities[:, 1])
        else:
            found["roc_auc"] = metrics.roc_auc_score(onehot, probabilities, average="macro")
            found["average_precision"] = metrics.average_precision_score(
                onehot, probabilities, average="macro"
            )
    return found


def regression_metrics(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Metrics of metric_catalogue for numbers. mape is left out where a true value is 0."""
    found = {
        "rmse": metrics.root_mean_squared_error(y, predicted),
        "mae": metrics.mean_absolute_error(y, predicted),
        "median_ae": metrics.median_absolute_error(y, predicted),
        "max_error": metrics.max_error(y, predicted),
    }
    if np.unique(y).size > 1:
        found["r2"] = metrics.r2_score(y, predicted)
        found["explained_variance"] = metrics.explained_variance_score(y, predicted)
    if np.all(y != 0):
        found["mape"] = metrics.mean_absolute_percentage_error(y, predicted)
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def confusion(y: np.ndarray, predicted: np.ndarray, classes: np.ndarray) -> dict[str, Any]:
    """{"classes": [str], "counts": rows = true class, columns = predicted class}."""
    counts = metrics.confusion_matrix(y, predicted, labels=classes)
    return {"classes": [str(c) for c in classes], "counts": counts.tolist()}


def roc_curves(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> list[dict[str, Any]]:
    """One curve per drawn class: {"name", "x": false positive rate, "y": true positive rate, "area"}."""
    curves = []
    for column in _drawn(classes):
        truth = y == classes[column]
        if truth.any() and not truth.all():
            fpr, tpr, _ = metrics.roc_curve(truth, probabilities[:, column])
            curves.append(_curve(classes[column], fpr, tpr, float(metrics.auc(fpr, tpr))))
    return curves


def precision_recall_curves(
    y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray
) -> list[dict[str, Any]]:
    """One curve per drawn class: {"name", "x": recall, "y": precision, "area": average precision}."""
    curves = []
    for column in _drawn(classes):
        truth = y == classes[column]
        if truth.any():
            precision, recall, _ = metrics.precision_recall_curve(truth, probabilities[:, column])
            area = float(metrics.average_precision_score(truth, probabilities[:, column]))
            curves.append(_curve(classes[column], recall[::-1], precision[::-1], area))
    return curves


def calibration(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> dict[str, Any] | None:
    """Two classes only: mean predicted share against observed share in 10 equally filled bins."""
    if len(classes) != 2:
        return None
    order = np.argsort(probabilities[:, 1], kind="stable")
    truth = (y == classes[1]).astype(float)[order]
    shares = probabilities[:, 1][order]
    bins = [b for b in np.array_split(np.arange(len(order)), min(10, max(1, len(order) // 10))) if len(b)]
    return {
        "name": str(classes[1]),
        "x": [float(shares[b].mean()) for b in bins],
        "y": [float(truth[b].mean()) for b in bins],
        "rows": [len(b) for b in bins],
    }


def residuals(y: np.ndarray, predicted: np.ndarray, seed: int) -> dict[str, Any]:
    """A sample of at most 1,000 rows: {"true", "predicted", "residual": true minus predicted}."""
    rows = np.arange(len(y))
    if len(rows) > SCATTER_POINTS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SCATTER_POINTS, replace=False))
    return {
        "true": [float(v) for v in y[rows]],
        "predicted": [float(v) for v in predicted[rows]],
        "residual": [float(v) for v in y[rows] - predicted[rows]],
        "rows": len(y),
    }


def _drawn(classes: np.ndarray) -> range | list[int]:
    return [1] if len(classes) == 2 else range(min(len(classes), CLASSES_DRAWN))


def _curve(name: Any, x: np.ndarray, y: np.ndarray, area: float) -> dict[str, Any]:
    if len(x) > CURVE_POINTS:
        keep = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).astype(int))
        x, y = x[keep], y[keep]
    return {"name": str(name), "x": [float(v) for v in x], "y": [float(v) for v in y], "area": area}
