"""The real data of the tour: tables that ship with scikit-learn, as CSV files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGET = {"tumours": "diagnosis", "digits": "digit", "iris": "species", "wine": "cultivar"}
HELD_BACK = 200
FIRST_VERSION = 300


@dataclass(frozen=True)
class Tumours:
    """Breast-cancer cells: two versions to register, and rows held back with their diagnoses."""

    versions: list[Path]
    records: list[dict[str, Any]]
    truth: list[str]


def write_tumours(folder: Path) -> Tumours:
    """Write 300 rows, then 369 (all but HELD_BACK), in a fixed shuffled order.

    Source: Wolberg, Street, Mangasarian: Wisconsin Diagnostic Breast Cancer (569 × 30), as scikit-learn ships it.
    """
    frame = _frame("load_breast_cancer", "diagnosis")
    frame = frame.sample(frac=1, random_state=7).reset_index(drop=True)
    training, live = frame.iloc[:-HELD_BACK], frame.iloc[-HELD_BACK:]
    files = [
        _write(training.iloc[:FIRST_VERSION], folder / "tumours-first.csv"),
        _write(training, folder / "tumours.csv"),
    ]
    features = live.drop(columns="diagnosis")
    return Tumours(files, features.to_dict("records"), live["diagnosis"].tolist())


def write_plain(folder: Path) -> dict[str, Path]:
    """Write digits, iris and wine; returns name → file."""
    return {
        "digits": _write(_frame("load_digits", "digit"), folder / "digits.csv"),
        "iris": _write(_frame("load_iris", "species"), folder / "iris.csv"),
        "wine": _write(_frame("load_wine", "cultivar"), folder / "wine.csv"),
    }


def _frame(loader: str, target: str) -> Any:
    """A scikit-learn data set with plain column names and the target's names in place of its numbers."""
    import pandas as pd
    from sklearn import datasets

    bunch = getattr(datasets, loader)()
    names = [str(name).split(" (")[0].replace(" ", "_").replace("/", "_per_") for name in bunch.feature_names]
    frame = pd.DataFrame(bunch.data, columns=names)
    frame[target] = [
        f"class_{name}" if str(name).isdigit() else str(name) for name in bunch.target_names[bunch.target]
    ]
    return frame


def _write(frame: Any, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path
