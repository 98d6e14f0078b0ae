"""Models of the tests: a real Bento of a real scikit-learn model, built once per test run."""

from __future__ import annotations

import shutil
from pathlib import Path


def save_iris(folder: Path, *, fmt: str = "skops", constant: int | None = None) -> Path:
    """An MLflow model folder: an SVC on iris, or one that always answers `constant`."""
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.datasets import load_iris
    from sklearn.dummy import DummyClassifier
    from sklearn.svm import SVC

    x, y = load_iris(return_X_y=True, as_frame=True)
    model = SVC() if constant is None else DummyClassifier(strategy="constant", constant=constant)
    model.fit(x, y)
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.sklearn.save_model(
        model,
        str(folder),
        signature=infer_signature(x, model.predict(x)),
        input_example=x.head(3),
        pip_requirements=["scikit-learn"],
        serialization_format=fmt,
    )
    return folder
