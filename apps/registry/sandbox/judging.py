"""Which of two models is better on the same rows?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.tracking.models import load
from apps.experiments.metric_catalogue import direction, title

TRUE_COLUMN = "__true__"
PREDICTED_COLUMN = "__predicted__"
FALLBACK = {"classification": "accuracy", "regression": "rmse"}


@dataclass(frozen=True)
class Verdict:
    """How the comparison ended: passed, failed or skipped, and the sentence that says why."""

    state: str
    message: str


def compare(
    *,
    model: Any,
    folder: Path,
    candidate: dict[str, Any],
    holder: dict[str, Any],
    same_data: bool,
    judged: Path | None,
) -> Verdict:
    """The candidate against the holder: by what both runs logged when they were judged on the same dataset
    version, else by letting both predict the candidate's test rows."""
    if (candidate["task"], candidate["target"]) != (holder["task"], holder["target"]) and holder["target"]:
        return Verdict(
            "failed",
            f"{candidate['label']} predicts '{candidate['target']}' and {holder['label']} '{holder['target']}':"
            " they cannot stand for one another.",
        )
    metric = candidate["primary_metric"] or FALLBACK.get(candidate["task"], "")
    if same_data and metric in candidate["metrics"] and metric in holder["metrics"]:
        where = f"on {candidate['dataset']}" if candidate["dataset"] else "on the same data"
        return verdict(
            metric, candidate, holder, candidate["metrics"][metric], holder["metrics"][metric], where
        )
    if judged is None:
        return Verdict(
            "skipped",
            f"{candidate['label']} and {holder['label']} were not judged on the same data, and there are no"
            " test rows to judge them on. Whoever approves should look at their metrics.",
        )
    return _on_rows(model, folder, candidate, holder, judged, metric)


def verdict(
    metric: str, candidate: dict[str, Any], holder: dict[str, Any], mine: float, theirs: float, where: str
) -> Verdict:
    """Not worse passes; equal counts as not worse."""
    better = direction(metric)
    name = title(metric)
    told = f"{name} {where}: {candidate['label']} {mine:.4g}, {holder['label']} {theirs:.4g}"
    if better == "none" or not (math.isfinite(mine) and math.isfinite(theirs)):
        return Verdict("skipped", f"{told}. Nobody knows which of the two is better.")
    worse = mine < theirs if better == "max" else mine > theirs
    if worse:
        return Verdict("failed", f"{told}. The candidate is worse.")
    return Verdict("passed", f"{told}.")


def _on_rows(
    model: Any, folder: Path, candidate: dict[str, Any], holder: dict[str, Any], judged: Path, metric: str
) -> Verdict:
    import pandas as pd

    rows = pd.read_parquet(judged)
    truth = rows.pop(TRUE_COLUMN).to_numpy()
    features = rows.drop(columns=[name for name in rows.columns if name.startswith("__")])
    where = f"on the {len(rows):,} test rows of {candidate['label']}"
    try:
        mine = model.predict(features)
    except Exception as error:
        return Verdict("failed", f"{candidate['label']} cannot predict its own test rows: {_short(error)}")
    try:
        theirs = load(folder).predict(features)
    except Exception as error:
        return Verdict(
            "skipped",
            f"{holder['label']} cannot predict the test rows of {candidate['label']} ({_short(error)}), so the"
            " two cannot be compared. Whoever approves should look at their metrics.",
        )
    chosen = metric if metric in _SCORES else FALLBACK.get(candidate["task"], "")
    if chosen not in _SCORES:
        return Verdict("skipped", f"There is no way to compute {title(metric) or 'a metric'} {where}.")
    return verdict(chosen, candidate, holder, score(chosen, truth, mine), score(chosen, truth, theirs), where)


_SCORES = frozenset(
    {"accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro"}
    | {"r2", "rmse", "mae", "median_ae", "max_error", "mape", "explained_variance"}
)


def score(metric: str, truth: Any, predicted: Any) -> float:
    """One metric of predictions against the truth, by scikit-learn. Raises KeyError for another metric."""
    import numpy as np
    from sklearn import metrics

    if metric in ("accuracy", "balanced_accuracy") or metric.endswith("_macro"):
        truth, predicted = np.asarray(truth).astype(str), np.asarray(predicted).astype(str)
    else:
        truth, predicted = np.asarray(truth, float), np.asarray(predicted, float)
    functions: dict[str, Any] = {
        "accuracy": metrics.accuracy_score,
        "balanced_accuracy": metrics.balanced_accuracy_score,
        "f1_macro": lambda a, b: metrics.f1_score(a, b, average="macro", zero_division=0),
        "precision_macro": lambda a, b: metrics.precision_score(a, b, average="macro", zero_division=0),
        "recall_macro": lambda a, b: metrics.recall_score(a, b, average="macro", zero_division=0),
        "r2": metrics.r2_score,
        "rmse": metrics.root_mean_squared_error,
        "mae": metrics.mean_absolute_error,
        "median_ae": metrics.median_absolute_error,
        "max_error": metrics.max_error,
        "mape": metrics.mean_absolute_percentage_error,
        "explained_variance": metrics.explained_variance_score,
    }
    return float(functions[metric](truth, predicted))


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]
