"""Builds the histogram gradient boosting estimators (sandbox only)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, root_mean_squared_error

from apps.experiments.sandbox.steps import grow, spaced_steps


def build(task: str, parameters: Mapping[str, Any], seed: int) -> Any:
    """HistGradientBoostingClassifier or -Regressor, unfitted."""
    shared: dict[str, Any] = {
        name: parameters[name]
        for name in (
            "learning_rate",
            "max_iter",
            "max_leaf_nodes",
            "max_depth",
            "min_samples_leaf",
            "l2_regularization",
            "max_features",
            "early_stopping",
        )
    }
    if task == "classification":
        weight = parameters["class_weight"]
        return HistGradientBoostingClassifier(
            class_weight=None if weight == "none" else weight, random_state=seed, **shared
        )
    return HistGradientBoostingRegressor(random_state=seed, **shared)


def fit_in_steps(estimator: Any, features: Any, target: Any, tell: Callable[[int, Any], None]) -> None:
    """Tells after some rounds; with early stopping, which watches the rounds itself, only at the end."""
    if estimator.early_stopping:
        estimator.fit(features, target)
    else:
        grow(estimator, "max_iter", features, target, tell)


def curves(estimator: Any, features: Any, target: Any, task: str) -> dict[str, list[tuple[int, float]]]:
    """Held-out loss after each boosting round, for up to 60 rounds.

    features: (rows, columns) float matrix; target: (rows,). Classification answers log loss, regression
    the root mean squared error.
    """
    steps = set(spaced_steps(estimator.n_iter_, 60))
    staged = (
        estimator.staged_predict_proba(features)
        if task == "classification"
        else estimator.staged_predict(features)
    )
    points = []
    for number, prediction in enumerate(staged, start=1):
        if number in steps:
            value = (
                log_loss(target, prediction, labels=estimator.classes_)
                if task == "classification"
                else root_mean_squared_error(target, prediction)
            )
            points.append((number, float(value)))
    return {"validation_loss": points}
