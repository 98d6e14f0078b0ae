"""The deployed model as a function from a frame of baseline rows to predictions. Runs in the isolated child only."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.monitoring.sandbox.impact import Predictor
from foundation.tasks import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

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

    def labels(frame: "pd.DataFrame") -> "NDArray[np.generic]":
        return _ask(scorer, scorer.model.predict, frame).reshape(len(frame), -1)[:, 0]

    def values(frame: "pd.DataFrame") -> "NDArray[np.float64]":
        return labels(frame).astype("float64")[:, None]

    def shares(frame: "pd.DataFrame") -> "NDArray[np.float64]":
        return _ask(scorer, scorer.model.predict_proba, frame).astype("float64")

    if scorer.bundle.get("task") != "classification":
        return Predictor(labels, values)
    return Predictor(labels, shares if scorer.has_probabilities else None)


def _ask(scorer: Any, method: Callable[[Any], Any], frame: "pd.DataFrame") -> "NDArray[Any]":
    """Predict a frame, its columns cast as the service casts what clients send, in one thread.

    Several threads gain nothing on a few thousand rows, and on a busy machine they wait for one another.
    """
    import numpy as np
    import pandas as pd
    from threadpoolctl import threadpool_limits

    if scorer.tensor:
        rows: Any = frame[scorer.names].to_numpy(dtype=scorer.tensor)
    else:
        cast = {
            name: _cast(scorer, kind, frame[name])
            for name, kind in zip(scorer.names, scorer.types, strict=True)
        }
        rows = pd.DataFrame(cast, copy=False)
    try:
        with threadpool_limits(limits=1):
            return np.asarray(method(rows))
    except Exception as error:
        raise UserError(
            f"The model cannot predict the baseline's rows: {type(error).__name__}: {error}",
            code="monitor.model",
        ) from error


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
