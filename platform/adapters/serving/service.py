"""The generic BentoML service of the studio. This file is copied into every Bento as its `service.py`.

It stands alone (no import of the studio), so that a Bento built here can be served anywhere by
`bentoml serve`. Beside it lie `model/` (an MLflow model folder) and `bundle.json`, written by the builder:
columns, task, classes, golden rows and the predictions they must give.
"""

from __future__ import annotations

import gc
import json
import math
import os
from pathlib import Path
from typing import Any

import bentoml

HERE = Path(__file__).resolve().parent


def load_model(folder: Path) -> Any:
    """The model of an MLflow folder, as an object with predict().

    A scikit-learn model is loaded by the library it was saved with, which spares the process the import of
    MLflow (3 s, 150 MB); everything else goes through mlflow.pyfunc.
    """
    import yaml

    flavors = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]
    sklearn = flavors.get("sklearn")
    if sklearn and not sklearn.get("code"):
        path = folder / sklearn["pickled_model"]
        saved_as = sklearn.get("serialization_format", "cloudpickle")
        if saved_as in ("cloudpickle", "pickle"):
            import cloudpickle

            with path.open("rb") as file:
                return cloudpickle.load(file)
        if saved_as == "skops":
            import skops.io

            # The process around this service is confined: the file may be trusted no more and no less
            # than a pickle. MLflow's own list of trusted types lies inside the model and protects nobody.
            return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(folder))


# Estimators whose predict() is, by definition, the class with the highest predict_proba().
ARGMAX = frozenset(
    ["RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier", "ExtraTreeClassifier"]
)


def predicts_by_probability(model: Any) -> bool:
    """Whether probabilities alone give the predictions, which halves the work of a forest."""
    steps = getattr(model, "steps", None)
    last = steps[-1][1] if steps else model
    return type(last).__name__ in ARGMAX and type(last).__module__.startswith("sklearn.")


def finite(value: Any) -> Any:
    """The value with every NaN and infinity as None, because JSON knows neither."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [finite(item) for item in value]
    return value


class Scorer:
    """Rows in, plain Python lists out. Holds the loaded model and the column order of its signature."""

    def __init__(self, folder: Path) -> None:
        self.bundle: dict[str, Any] = json.loads((folder / "bundle.json").read_text())
        self.names: list[str] = [column["name"] for column in self.bundle["columns"]]
        self.types: list[str] = [column["type"] for column in self.bundle["columns"]]
        self.tensor: str | None = self.bundle.get("tensor")
        self.all_numbers = all(kind == "number" for kind in self.types)
        self.model = load_model(folder / "model")
        self.by_probability = predicts_by_probability(self.model)
        self.has_probabilities = self.bundle.get("task") == "classification" and hasattr(
            self.model, "predict_proba"
        )

    def frame(self, rows: list[list[Any]]) -> Any:
        """The rows as the data frame (or array, for a tensor signature) that the model was trained on."""
        import numpy as np
        import pandas as pd

        if self.tensor:
            return np.asarray(rows, dtype=self.tensor)
        if self.all_numbers:
            return pd.DataFrame(np.asarray(rows, dtype="float64"), columns=self.names, copy=False)
        columns = zip(*rows, strict=True)
        return pd.DataFrame(
            {
                name: self.array(kind, values)
                for name, kind, values in zip(self.names, self.types, columns, strict=True)
            },
            copy=False,
        )

    @staticmethod
    def array(kind: str, values: tuple[Any, ...]) -> Any:
        """One column with the type it had in training; a missing value becomes NaN, NaT or None."""
        import numpy as np
        import pandas as pd

        missing = None in values
        if kind == "number" or (kind == "integer" and missing):
            return np.asarray(values, dtype="float64")
        if kind == "integer":
            return np.asarray(values, dtype="int64")
        if kind == "boolean" and not missing:
            return np.asarray(values, dtype="bool")
        if kind == "datetime":
            stamps = pd.to_datetime(pd.Series(list(values), dtype="object"), utc=True, format="ISO8601")
            return stamps.dt.tz_localize(None)
        return np.asarray(values, dtype="object")

    def score(self, rows: list[list[Any]]) -> dict[str, Any]:
        """{"predictions": [...], "probabilities": [[...]] for a classifier that knows them}."""
        frame = self.frame(rows)
        if self.has_probabilities and self.by_probability:
            chances = self.model.predict_proba(frame)
            labels = self.model.classes_.take(chances.argmax(axis=1), axis=0)
            return {"predictions": plain(labels), "probabilities": plain(chances)}
        predictions = self.model.predict(frame)
        answer: dict[str, Any] = {"predictions": plain(predictions)}
        if self.has_probabilities:
            answer["probabilities"] = plain(self.model.predict_proba(frame))
        return answer

    def golden_answer(self) -> dict[str, Any]:
        """A real prediction on the golden rows of the bundle."""
        return self.score(self.bundle["golden"]["rows"])


def plain(values: Any) -> list[Any]:
    """A prediction (array, series, one-column frame or list) as a JSON-able list."""
    if hasattr(values, "columns") and getattr(values, "shape", (0, 0))[1] == 1:
        values = values.iloc[:, 0]
    listed = values.tolist() if hasattr(values, "tolist") else list(getattr(values, "values", values))
    if listed and isinstance(listed[0], list) and len(listed[0]) == 1:
        listed = [item[0] for item in listed]
    return [finite(item) for item in listed]


@bentoml.service(name="atelier_model", workers=1, traffic={"timeout": 60, "max_concurrency": 256})
class AtelierModel:
    """Predicts with the model of this Bento. `current` is the instance that BentoML made in this process."""

    current: AtelierModel | None = None

    def __init__(self) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self.scorer = Scorer(HERE)
        type(self).current = self
        self.scorer.golden_answer()
        gc.collect()
        gc.freeze()

    @bentoml.api(route="/predict")
    def predict(
        self,
        records: list[dict[str, Any]] | None = None,
        rows: list[list[Any]] | None = None,
        columns: list[str] | None = None,
    ) -> dict[str, Any]:
        """Predict for `records` (column -> value), or `rows` in the order of `columns` (default: the model's)."""
        names = self.scorer.names
        if rows is None:
            rows = [[record.get(name) for name in names] for record in records or []]
        elif columns is not None and columns != names:
            where = [columns.index(name) for name in names]
            rows = [[row[index] for index in where] for row in rows]
        return self.scorer.score(rows) if rows else {"predictions": []}

    async def __is_ready__(self) -> bool:
        """Ready means: the model has just answered its golden rows."""
        return bool(self.scorer.golden_answer()["predictions"])
