"""Builds the linear estimators (sandbox only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge


def build(task: str, parameters: Mapping[str, Any], seed: int) -> Any:
    """LogisticRegression, Ridge or ElasticNet, unfitted.

    lbfgs handles pure L2; any L1 share needs saga, which is slower. Ridge and ElasticNet scale alpha
    differently: ElasticNet's loss is averaged over the rows (scikit-learn user guide, 1.1.5).
    """
    ratio = parameters["l1_ratio"]
    if task == "classification":
        weight = parameters["class_weight"]
        return LogisticRegression(
            C=parameters["C"],
            l1_ratio=ratio,
            solver="lbfgs" if ratio == 0 else "saga",
            class_weight=None if weight == "none" else weight,
            max_iter=parameters["max_iter"],
            fit_intercept=parameters["fit_intercept"],
            random_state=seed,
        )
    if ratio == 0:
        return Ridge(alpha=parameters["alpha"], fit_intercept=parameters["fit_intercept"], random_state=seed)
    return ElasticNet(
        alpha=parameters["alpha"],
        l1_ratio=ratio,
        max_iter=parameters["max_iter"],
        fit_intercept=parameters["fit_intercept"],
        random_state=seed,
    )
