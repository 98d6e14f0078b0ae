"""The deployed model as a function from a frame of baseline rows to predictions. Runs in the isolated child only."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.monitoring.sandbox.impact import Output, Predictor
from foundation.tasks import UserError

if TYPE_CHECKING:
    import pandas as pd

# Where the service of a Bento lies in it, and with it the model and its bundle.
SOURCE = "src"


def load_predictor(folder: Path, files: Mapping[str, str], inputs: Mapping[str, Path]) -> Predictor:
    """Lay the Bento's files out below `folder` and return its model as a predictor.

    `files` maps input names to paths in the Bento, `inputs` maps input names to local files.
    Raises UserError "monitor.model" when the model cannot be loaded.
    """
    from adapters.serving.service import Scorer

    for name, relative in files.items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(inputs[name], target)
    try:
        scorer = Scorer(folder / SOURCE)
    except Exception as error:
        raise UserError(
            f"The model of the deployment could not be loaded: {type(error).__name__}: {error}",
            code="monitor.model",
        ) from error

    def predict(frame: "pd.DataFrame") -> Output:
        return _ask(scorer, frame)

    return predict


def _ask(scorer: Any, frame: "pd.DataFrame") -> Output:
    """Predict a frame, its columns cast as the service casts what clients send."""
    import numpy as np
    import pandas as pd

    if scorer.tensor:
        rows: Any = frame[scorer.names].to_numpy(dtype=scorer.tensor)
    else:
        cast = {
            name: _cast(scorer, kind, frame[name])
            for name, kind in zip(scorer.names, scorer.types, strict=True)
        }
        rows = pd.DataFrame(cast, copy=False)
    try:
        labels = np.asarray(scorer.model.predict(rows)).reshape(len(frame), -1)[:, 0]
        if scorer.bundle.get("task") != "classification":
            return Output(labels, labels.astype(np.float64)[:, None])
        scores = scorer.model.predict_proba(rows) if scorer.has_probabilities else None
    except Exception as error:
        raise UserError(
            f"The model cannot predict the baseline's rows: {type(error).__name__}: {error}",
            code="monitor.model",
        ) from error
    return Output(labels, None if scores is None else np.asarray(scores, dtype=np.float64))


def _cast(scorer: Any, kind: str, column: "pd.Series[Any]") -> Any:
    """One column in the type that the model saw in training; missing values become what the service makes of None."""
    missing = column.isna()
    if kind == "datetime":
        return column.astype("datetime64[ns]").to_numpy() if missing.all() else _moments(column)
    if kind == "number" or (kind == "integer" and missing.any()):
        return column.astype("float64").to_numpy()
    values = column.astype("object").where(~missing, None)
    return scorer.array(kind, tuple(values))


def _moments(column: "pd.Series[Any]") -> Any:
    import pandas as pd

    return pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy()
