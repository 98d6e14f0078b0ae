"""Makes an MLflow model of the one file that a script left in its model folder, where that is possible.

Runs as a script does, confined and in its Python, since loading such a file runs whatever it holds. Arguments: the
file, the folder to make, the folder of the code, the folders of the channels. It never fails: it says why not.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

ROWS = 5


def main(file: str, target: str, code: str, channels: Sequence[str]) -> str:
    """Make it; answers why not, or ""."""
    sys.path.insert(0, code)
    try:
        import joblib
        import mlflow.sklearn
        from sklearn.base import BaseEstimator
    except ImportError as error:
        return f"{error.name} is not among the packages"
    logging.getLogger("mlflow").setLevel(
        logging.ERROR
    )  # what it warns of, the reader of this log has not chosen
    model = joblib.load(file)
    if not isinstance(model, BaseEstimator) or not hasattr(model, "predict"):
        return f"it holds no scikit-learn model but {type(model).__name__}"
    example, signature = described(model, channels)
    packages = ["scikit-learn", "pandas", type(model).__module__.partition(".")[0]]
    mlflow.sklearn.save_model(
        model,
        target,
        signature=signature,
        input_example=example,
        serialization_format="cloudpickle",
        pip_requirements=[
            pinned(name) for name in dict.fromkeys(packages) if name not in ("sklearn", "__main__")
        ],
    )
    return ""


def described(model: Any, channels: Sequence[str]) -> tuple[Any, Any]:
    """(example, signature) from a channel that has the columns on which it was fitted; (None, None) without one."""
    from mlflow.models import infer_signature

    names = [str(name) for name in getattr(model, "feature_names_in_", ())]
    if not names:
        return None, None
    for folder in channels:
        frame = head(folder)
        if frame is None or not set(names) <= set(frame.columns):
            continue
        example = frame[names].head(ROWS)
        try:
            return example, infer_signature(example, model.predict(example))
        except Exception as error:  # it was fitted on something made of these columns
            print(
                f"The model does not take the columns of {os.path.basename(folder)}: {type(error).__name__}."
            )
    return None, None


def head(folder: str) -> Any:
    """The first rows of a channel."""
    import pandas

    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith(".parquet"):
            import pyarrow.parquet

            rows = next(pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=200), None)
            return None if rows is None else rows.to_pandas()
        if name.endswith(".csv"):
            return pandas.read_csv(path, nrows=200)
    return None


def pinned(name: str) -> str:
    """A package as the model needs it, with its version where that is known."""
    from importlib import metadata

    try:
        return f"{name}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


if __name__ == "__main__":
    try:
        why = main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
    except BaseException as error:
        why = f"{type(error).__name__}: {error}".split("\n")[0][:300]
    if why:
        print(f"{os.path.basename(sys.argv[1])} is kept as a file and not as the model of the run: {why}.")
