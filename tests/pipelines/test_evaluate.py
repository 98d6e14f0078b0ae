"""The program that judges models: answers of other types, columns that are missing, models that cannot."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapters.tracking.models import ModelDescription
from apps.pipelines.sandbox import evaluate
from foundation.tasks import Context, UserError

ROWS = pd.DataFrame(
    {"age": [20, 30, 40, 50], "city": ["Rome", None, "Oslo", "Rome"], "left": ["no", "no", "yes", "yes"]}
)


class ByAge:
    """Predicts from the age, in whatever type a test wants."""

    def __init__(self, answers: Any) -> None:
        self.answers = answers

    def predict(self, frame: pd.DataFrame) -> Any:
        if isinstance(self.answers, Exception):
            raise self.answers
        assert list(frame.columns) == ["age"]
        return np.asarray(self.answers)


def judged(monkeypatch: pytest.MonkeyPatch, answers: Any, *, task: str = "classification", target: str = "left",
           columns: list[dict[str, Any]] | None = None, rows: pd.DataFrame = ROWS) -> dict[str, Any]:  # fmt: skip
    """What the program answers for a model with these predictions."""
    described = ModelDescription("", "", (), columns or [{"name": "age", "type": "long", "required": True}])
    monkeypatch.setattr(evaluate, "rebuild", lambda ctx, files, folder: Path())
    monkeypatch.setattr(evaluate, "describe", lambda folder: described)
    monkeypatch.setattr(evaluate, "load", lambda folder: ByAge(answers))
    monkeypatch.setattr("apps.experiments.sandbox.frames.read_table", lambda parts: rows)
    monkeypatch.setattr("apps.experiments.sandbox.frames.to_frame", lambda table: table)
    model = {"label": "churn/1", "files": {}, "task": task, "target": target, "dataset_version": "v1"}
    payload = {
        "judged": model,
        "against": None,
        "target": target,
        "parts": [],
        "dataset": "churn@1",
        "dataset_version": "v1",
    }
    return evaluate.main(Context(payload, {}, Path(), Path(), logging.getLogger("test")))


def test_it_judges_a_classifier_on_the_columns_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judged(monkeypatch, ["no", "yes", "yes", "yes"])
    assert found["metrics"]["accuracy"] == 0.75
    assert (found["rows"], found["seen"], found["against"], found["primary_metric"]) == (
        4,
        True,
        None,
        "accuracy",
    )


@pytest.mark.parametrize("answers", [[0, 0, 1, 1], ["0", "0", "1", "1"], [0.0, 0.0, 1.0, 1.0]])
def test_classes_are_compared_whatever_their_type(
    monkeypatch: pytest.MonkeyPatch, answers: list[Any]
) -> None:
    rows = ROWS.assign(left=[0, 0, 1, 1])
    assert judged(monkeypatch, answers, rows=rows)["metrics"]["accuracy"] == 1.0


def test_rows_without_a_target_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ROWS.assign(left=["no", None, "yes", None])
    assert judged(monkeypatch, ["no", "yes"], rows=rows)["rows"] == 2


def test_it_judges_a_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ROWS.assign(left=[1.0, 2.0, 3.0, 4.0])
    found = judged(monkeypatch, [1.0, 2.0, 3.0, 5.0], task="regression", rows=rows)
    assert found["metrics"]["mae"] == 0.25
    assert found["primary_metric"] == "rmse"


@pytest.mark.parametrize(
    ("answers", "more", "words"),
    [
        (ValueError("too  hot\nhere"), {}, "cannot predict these rows: too hot here"),
        (["no"], {}, "gave 1 answers for 4 rows"),
        (["a"] * 4, {"task": "regression", "rows": ROWS.assign(left=[1.0, 2.0, 3.0, 4.0])}, "does not answer with numbers"),
        ([np.nan] * 4, {"task": "regression", "rows": ROWS.assign(left=[1.0, 2.0, 3.0, 4.0])}, "no finite numbers"),
        ([], {"columns": [{"name": "size", "type": "long", "required": True}]}, "needs the column 'size'"),
        ([], {"rows": ROWS.assign(left=None)}, "has no value in any"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_is_the_user_s_fault(
    monkeypatch: pytest.MonkeyPatch, answers: Any, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        judged(monkeypatch, answers, **more)
    assert words in caught.value.message
