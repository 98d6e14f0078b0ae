"""Builds the LightGBM estimators (sandbox only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.metrics import log_loss, root_mean_squared_error

from apps.experiments.sandbox.steps import spaced_steps


def build(task: str, parameters: Mapping[str, Any], seed: int) -> Any:
    """LGBMClassifier or LGBMRegressor, unfitted; LightGBM writes "no limit" of depth as -1."""
    shared: dict[str, Any] = {
        name: parameters[name]
        for name in (
            "n_estimators",
            "learning_rate",
            "num_leaves",
            "min_child_samples",
            "subsample",
            "colsample_bytree",
            "reg_alpha",
            "reg_lambda",
        )
    }
    shared |= {
        "max_depth": parameters["max_depth"] or -1,
        "subsample_freq": 1 if parameters["subsample"] < 1 else 0,
        "random_state": seed,
        "n_jobs": -1,
        "deterministic": True,
        "verbosity": -1,
    }
    if task == "classification":
        weight = parameters["class_weight"]
        return LGBMClassifier(class_weight=None if weight == "none" else weight, **shared)
    return LGBMRegressor(**shared)


def curves(estimator: Any, features: Any, target: Any, task: str) -> dict[str, list[tuple[int, float]]]:
    """Held-out loss of the first n trees, for up to 30 values of n.

    features: (rows, columns) float matrix; target: (rows,). Classification answers log loss, regression
    the root mean squared error.
    """
    points = []
    for number in spaced_steps(estimator.n_estimators_, 30):
        if task == "classification":
            prediction = estimator.predict_proba(features, num_iteration=number)
            value = log_loss(target, prediction, labels=estimator.classes_)
        else:
            value = root_mean_squared_error(target, estimator.predict(features, num_iteration=number))
        points.append((number, float(value)))
    return {"validation_loss": points}
