"""Builds the random forests (sandbox only)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import log_loss, root_mean_squared_error

from apps.experiments.sandbox.steps import grow, spaced_steps


def build(task: str, parameters: Mapping[str, Any], seed: int) -> Any:
    """RandomForestClassifier or RandomForestRegressor, unfitted, on all allowed processors."""
    shared: dict[str, Any] = {
        "n_estimators": parameters["n_estimators"],
        "max_depth": parameters["max_depth"],
        "min_samples_leaf": parameters["min_samples_leaf"],
        "max_features": 1.0 if parameters["max_features"] == "all" else parameters["max_features"],
        "bootstrap": parameters["bootstrap"],
        "random_state": seed,
        "n_jobs": -1,
    }
    if task == "classification":
        weight = parameters["class_weight"]
        return RandomForestClassifier(
            criterion=parameters["criterion"], class_weight=None if weight == "none" else weight, **shared
        )
    return RandomForestRegressor(**shared)


def fit_in_steps(estimator: Any, features: Any, target: Any, tell: Callable[[int, Any], None]) -> None:
    """Tells after some trees."""
    grow(estimator, "n_estimators", features, target, tell)


def curves(estimator: Any, features: Any, target: Any, task: str) -> dict[str, list[tuple[int, float]]]:
    """Held-out loss of the first n trees, for up to 40 values of n.

    features: (rows, columns) float matrix; target: (rows,). Classification answers log loss, regression
    the root mean squared error.
    """
    steps = set(spaced_steps(len(estimator.estimators_), 40))
    total: Any = 0.0
    points = []
    for number, tree in enumerate(estimator.estimators_, start=1):
        total = total + (tree.predict_proba(features) if task == "classification" else tree.predict(features))
        if number in steps:
            if task == "classification":
                mean = np.clip(total / number, 1e-6, 1)
                value = log_loss(target, mean / mean.sum(axis=1, keepdims=True), labels=estimator.classes_)
            else:
                value = root_mean_squared_error(target, total / number)
            points.append((number, float(value)))
    return {"validation_loss": points}
