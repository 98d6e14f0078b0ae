"""Builds the LightGBM estimators (sandbox only)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.metrics import log_loss, root_mean_squared_error

from apps.experiments.sandbox.steps import spaced_steps, told_steps


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


@dataclass(frozen=True)
class _Unfinished:
    """The trees so far, with the face of a scikit-learn estimator."""

    booster: Any
    classes_: Any

    def predict_proba(self, features: Any) -> Any:
        """Shares (rows, classes)."""
        shares = self.booster.predict(features)
        return np.column_stack([1 - shares, shares]) if shares.ndim == 1 else shares

    def predict(self, features: Any) -> Any:
        """Labels or numbers (rows,)."""
        if self.classes_ is None:
            return self.booster.predict(features)
        return self.classes_[self.predict_proba(features).argmax(axis=1)]


def fit_in_steps(estimator: Any, features: Any, target: Any, tell: Callable[[int, Any], None]) -> None:
    """Tells after some trees, by LightGBM's own callback."""
    wanted = set(told_steps(estimator.n_estimators))
    classes = np.unique(target) if isinstance(estimator, LGBMClassifier) else None

    def told(env: Any) -> None:
        if env.iteration + 1 in wanted:
            tell(env.iteration + 1, _Unfinished(env.model, classes))

    estimator.fit(features, target, callbacks=[told])


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
