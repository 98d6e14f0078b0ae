"""Slower looks at a fitted pipeline, each within a budget of seconds: importances and a learning curve."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score

ROWS_AT_MOST = 2000
REPEATS_AT_MOST = 5


def permutation_importance(
    pipeline: Any, frame: pd.DataFrame, y: np.ndarray, *, task: str, seed: int, seconds: float = 12.0
) -> dict[str, Any]:
    """How much the score falls when one raw column is shuffled (Breiman 2001, section 10).

    frame: (rows, raw columns) held-out; y: (rows,). The score is balanced accuracy or R²; at most 2,000
    rows and 5 repeats, fewer when predicting is slow. Answers {"score", "repeats", "rows", "features":
    [{"name", "mean", "std"}]} with the most important first.
    """
    random = np.random.default_rng(seed)
    if len(frame) > ROWS_AT_MOST:
        rows = np.sort(random.choice(len(frame), ROWS_AT_MOST, replace=False))
        frame, y = frame.iloc[rows], y[rows]
    frame = frame.reset_index(drop=True)
    score = balanced_accuracy_score if task == "classification" else r2_score
    begun = time.monotonic()
    whole = score(y, pipeline.predict(frame))
    each = max(time.monotonic() - begun, 1e-4)
    names = [c for c in frame.columns if c in pipeline.named_steps["prepare"].kinds]
    repeats = int(np.clip(seconds / (each * len(names)), 1, REPEATS_AT_MOST))
    found = []
    for name in names:
        if time.monotonic() - begun > 3 * seconds:
            break
        falls = []
        for _ in range(repeats):
            shuffled = frame.copy(deep=False)
            shuffled[name] = frame[name].to_numpy()[random.permutation(len(frame))]
            falls.append(whole - score(y, pipeline.predict(shuffled)))
        found.append({"name": name, "mean": float(np.mean(falls)), "std": float(np.std(falls))})
    found.sort(key=lambda f: (-float(str(f["mean"])), str(f["name"])))
    return {
        "score": "balanced accuracy" if task == "classification" else "R²",
        "repeats": repeats,
        "rows": len(frame),
        "features": found,
    }


def learning_curve(
    pipeline: Any,
    train: pd.DataFrame,
    y_train: np.ndarray,
    test: pd.DataFrame,
    y_test: np.ndarray,
    *,
    task: str,
    seed: int,
    seconds: float,
) -> list[dict[str, float]]:
    """Scores after training on a fifth, two fifths ... of the training rows: [{"rows", "train", "test"}].

    The score is accuracy or R². Stops when the budget of seconds is spent; an empty list when even the
    smallest share holds fewer than two classes.
    """
    score = accuracy_score if task == "classification" else r2_score
    order = np.random.default_rng(seed).permutation(len(train))
    begun, points = time.monotonic(), []
    for share in (0.2, 0.4, 0.6, 0.8):
        rows = order[: int(len(order) * share)]
        if len(rows) < 10 or (task == "classification" and np.unique(y_train[rows]).size < 2):
            continue
        if time.monotonic() - begun > seconds:
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            part = clone(pipeline).fit(train.iloc[rows], y_train[rows])
        points.append(
            {
                "rows": float(len(rows)),
                "train": float(score(y_train[rows], part.predict(train.iloc[rows]))),
                "test": float(score(y_test, part.predict(test))),
            }
        )
    return points
