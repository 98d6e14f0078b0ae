"""A file that a script saved into its model folder becomes the model of its run, where it can."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.tracking.models import describe
from adapters.tracking.saved_file import main


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The program changes what belongs to its process."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    level = logging.getLogger("mlflow").level
    yield
    logging.getLogger("mlflow").setLevel(level)


def saved(folder: Path, model: Any) -> list[str]:
    import joblib

    joblib.dump(model, folder / "model.joblib")
    return [str(folder / "model.joblib"), str(folder / "made"), str(folder)]


def test_a_model_of_named_columns_is_described_by_the_channel_that_has_them(tmp_path: Path) -> None:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    frame = pd.DataFrame({"age": [20, 30, 50, 60], "rate": [0.1, 0.2, 0.3, 0.4], "left": [0, 0, 1, 1]})
    for channel in ("other", "train", "bare"):
        (tmp_path / channel).mkdir()
    frame[["left"]].to_parquet(tmp_path / "other" / "part-00000.parquet")
    frame.to_csv(tmp_path / "train" / "train.csv", index=False)
    model = LogisticRegression().fit(frame[["age", "rate"]], frame["left"])
    channels = [str(tmp_path / name) for name in ("bare", "other", "train")]
    assert main(*saved(tmp_path, model), channels) == ""
    found = describe(tmp_path / "made")
    assert [(column["name"], column["type"]) for column in found.columns] == [
        ("age", "long"),
        ("rate", "double"),
    ]
    assert len(found.records()) == 4


def test_a_model_of_nameless_columns_has_no_signature(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier().fit([[1], [2]], [0, 1])
    assert main(*saved(tmp_path, model), []) == ""
    assert not describe(tmp_path / "made").columns


@pytest.mark.parametrize("thing", [{"weights": [1, 2]}, [1, 2, 3], "text"])
def test_what_is_no_model_stays_a_file(tmp_path: Path, thing: Any) -> None:
    assert "it holds no scikit-learn model" in main(*saved(tmp_path, thing), [])
    assert not (tmp_path / "made").exists()
