"""The target: is it usable, which task does it ask for, and are there rows enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from foundation.tasks import UserError

#: A whole-numbered target with at most this many values is taken for classes.
CLASS_LIMIT = 20
#: Beyond this the squares and sums of a regression leave the floating-point range.
LARGEST = 1e100
#: More classes than this are an identifier or a mistake.
CLASSES_AT_MOST = 200


def usable_rows(frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """The rows whose target is known.

    Raises UserError "target.unknown" when there is no such column, "target.unsupported" when its type
    cannot be predicted, "target.all_missing" when no row has a value.
    """
    if target not in frame.columns:
        near = ", ".join(f"'{c}'" for c in list(frame.columns)[:30])
        raise UserError(
            f"The dataset has no usable column '{target}'. It has: {near}.",
            code="target.unknown",
            detail={"field": "target", "columns": list(frame.columns)[:200]},
        )
    column = frame[target]
    if column.dtype.kind == "M":
        raise UserError(
            f"The target '{target}' is a date, which no built-in algorithm predicts.",
            code="target.unsupported",
            detail={"field": "target"},
        )
    known = column.notna()
    if column.dtype.kind == "f":
        known &= np.isfinite(column)
    if not known.any():
        raise UserError(
            f"The target '{target}' has no value in any of the {len(frame)} rows.",
            code="target.all_missing",
            detail={"field": "target"},
        )
    return frame.loc[known].reset_index(drop=True)


def detect_task(column: pd.Series, wanted: str | None = None, *, rows_per_class: int = 2) -> str:
    """The task of a target without missing values: classification or regression; `wanted` overrides.

    Booleans and strings are classes; so are whole numbers with at most 20 values, each in enough rows (a
    lonely value shows that they are rather a count); other numbers are to be regressed. Raises UserError
    "target.not_numeric" when regression is wanted of anything but numbers.
    """
    numeric = column.dtype.kind in "iuf"
    if wanted == "regression" and not numeric:
        raise UserError(
            f"The target '{column.name}' holds {'booleans' if column.dtype.kind == 'b' else 'text'}; "
            "regression needs numbers. Choose classification.",
            code="target.not_numeric",
            detail={"field": "task"},
        )
    if wanted in ("classification", "regression"):
        return str(wanted)
    if not numeric:
        return "classification"
    values = column.to_numpy()
    whole = values.dtype.kind in "iu" or bool(np.all(values == np.floor(values)))
    if not whole:
        return "regression"
    counts = np.unique(values, return_counts=True)[1]
    few = counts.size <= 2 or (counts.size <= CLASS_LIMIT and int(counts.min()) >= rows_per_class)
    return "classification" if few else "regression"


def labels(column: pd.Series, task: str) -> np.ndarray:
    """The target as the estimator sees it and as the model will answer: shape (rows,).

    Classes keep their dtype (bool, int64, or str as objects); whole numbers that are float64 only because
    rows with a missing target were among them become int64 again. Regression answers float64.
    """
    if task == "regression":
        return np.asarray(column, dtype=np.float64)
    if column.dtype.kind == "f":
        values: np.ndarray = column.to_numpy()
        return values.astype(np.int64) if np.all(values == np.floor(values)) else values
    if column.dtype.kind in "iub":
        return np.asarray(column)
    present = column.to_list()
    if all(isinstance(v, bool | np.bool_) for v in present):
        return np.array(present, dtype=bool)
    return np.array([str(v) for v in present], dtype=object)


def check_rows(y: np.ndarray, *, task: str, target: str, test_size: float, folds: int | None) -> None:
    """Refuses targets that cannot be split, learned and judged.

    y: (rows,) without missing values. Raises UserError "target.one_class", "target.constant",
    "target.too_large", "target.too_many_classes", "target.too_few_rows" or "dataset.too_few_rows".
    """
    rows = len(y)
    if rows < 10:
        raise UserError(
            f"Only {rows} row{'s have' if rows != 1 else ' has'} a known target; at least 10 are needed.",
            code="dataset.too_few_rows",
            detail={"rows": rows},
        )
    classes, counts = np.unique(y, return_counts=True)
    if task == "regression":
        if classes.size == 1:
            raise UserError(
                f"The target '{target}' is {classes[0]:g} in every row, so there is nothing to learn.",
                code="target.constant",
                detail={"field": "target"},
            )
        if (largest := float(np.abs(y).max())) > LARGEST:
            raise UserError(
                f"The target '{target}' has values up to {largest:.3g}, too large to compute with. "
                "Divide the column by a constant first.",
                code="target.too_large",
                detail={"field": "target", "largest": largest, "limit": LARGEST},
            )
        return
    _check_classes(classes, counts, rows, target=target, test_size=test_size, folds=folds)


def _check_classes(
    classes: np.ndarray, counts: np.ndarray, rows: int, *, target: str, test_size: float, folds: int | None
) -> None:
    if classes.size == 1:
        raise UserError(
            f"The target '{target}' has one class only ('{classes[0]}'), so there is nothing to tell apart.",
            code="target.one_class",
            detail={"field": "target"},
        )
    if classes.size > CLASSES_AT_MOST:
        numbers = classes.dtype.kind in "if"
        hint = (
            " Choose regression."
            if numbers
            else " If these are numbers written as text, upload them as plain numbers (1234.5)."
        )
        raise UserError(
            f"The target '{target}' has {classes.size} different values, too many for classes "
            f"(at most {CLASSES_AT_MOST}).{hint}",
            code="target.too_many_classes",
            detail={"field": "target", "classes": int(classes.size)},
        )
    least = int(np.argmin(counts))
    needed = folds or 2
    if counts[least] < needed:
        ways = f"{folds}-fold cross-validation" if folds else "a hold-out split"
        raise UserError(
            f"The class '{classes[least]}' of '{target}' has {_rows(int(counts[least]))}; "
            f"{ways} needs at least {needed} of each class. Leave it out of the data, or add rows.",
            code="target.too_few_rows",
            detail={"field": "target", "class": _plain(classes[least]), "rows": int(counts[least])},
        )
    held = int(np.ceil(rows * test_size))
    if not folds and min(held, rows - held) < classes.size:
        raise UserError(
            f"With {rows} rows and a test share of {test_size:g} one side of the split has fewer rows than "
            f"'{target}' has classes ({classes.size}). Add rows or change the share.",
            code="target.too_few_rows",
            detail={"field": "test_size", "rows": rows, "classes": int(classes.size)},
        )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
