"""Feature impact: how much of the model's behaviour hangs on each feature, measured on the baseline.

For every feature j the values of a sample of baseline rows are replaced by random draws from the same column
(ablation), and   I_j = mean over rows of the change of the prediction,   impact_j = I_j / Σ I.
The change is |f(x) - f(x')| for a value; for class probabilities it is half the sum of absolute differences (total
variation), which for two classes is the change of the positive class's probability; where a model only names a
class it is 1 for another class and 0 for the same.
Sources: L. Breiman, "Random forests", Machine Learning 45 (2001), section 10 (permuting one variable);
A. Fisher, C. Rudin, F. Dominici, "All models are wrong, but many are useful", JMLR 20 (2019) 177 (model reliance);
the form without labels, normalised over the features, is the feature impact of the monitoring tool in the lecture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from apps.monitoring.sandbox import tables

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

SAMPLE_ROWS = 2000
# Rows predicted in all; wide tables get a smaller sample so that the time stays bounded.
BUDGET_ROWS = 100_000
FEWEST_ROWS = 200


@dataclass(frozen=True)
class Predictor:
    """A model as functions of a frame of rows.

    `labels` gives the predicted class or value of every row, shape (rows,). `scores` gives what moves smoothly:
    class probabilities of shape (rows, classes), or values of shape (rows, 1); None where the model only names classes.
    """

    labels: "Callable[[pd.DataFrame], NDArray[np.generic]]"
    scores: "Callable[[pd.DataFrame], NDArray[np.float64]] | None" = None

    def answer(self, frame: "pd.DataFrame") -> "NDArray[np.generic]":
        """The scores where there are any, else the labels."""
        return self.scores(frame) if self.scores is not None else self.labels(frame)


def measure_impact(
    predictor: Predictor,
    frame: "pd.DataFrame",
    features: Sequence[str],
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Return the impact of each feature, ≥ 0 and summing to 1 (100 %); all zero when no feature has any.

    `frame` holds a sample of baseline rows with at least the columns of `features`.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    before = predictor.answer(frame)
    changes: dict[str, float] = {}
    for step, name in enumerate(features, start=1):
        ablated = frame.copy(deep=False)
        drawn = frame[name].iloc[random.integers(0, len(frame), len(frame))]
        drawn.index = frame.index
        ablated[name] = drawn
        changes[name] = mean_change(before, predictor.answer(ablated))
        if progress is not None:
            progress(step, len(features))
    total = sum(changes.values())
    return {name: change / total if total > 0 else 0.0 for name, change in changes.items()}


def mean_change(before: "NDArray[np.generic]", after: "NDArray[np.generic]") -> float:
    """Return the mean change between two answers for the same rows, as the module's docstring defines it.

    Two dimensions are scores, one dimension is labels.
    """
    import numpy as np

    if before.ndim == 1:
        return float(np.mean(before != after)) if len(before) else 0.0
    gaps = np.abs(np.asarray(before, dtype=np.float64) - np.asarray(after, dtype=np.float64))
    each = gaps.sum(axis=1) / 2 if gaps.shape[1] > 1 else gaps[:, 0]
    return float(np.nanmean(each)) if len(each) else 0.0


def sample_rows(paths: Sequence[Path], names: Sequence[str], *, features: int) -> "pd.DataFrame":
    """Return an even sample of the baseline with the columns of `names`, small enough for `features` ablations."""
    import numpy as np
    import pyarrow as pa

    rows = tables.count_rows(paths)
    wanted = min(SAMPLE_ROWS, max(FEWEST_ROWS, BUDGET_ROWS // max(features, 1)), rows)
    chosen = (
        np.unique(np.linspace(0, rows - 1, wanted).round().astype(np.int64))
        if rows
        else np.zeros(0, np.int64)
    )
    taken: list[pa.Table] = []
    offset = 0
    for piece in tables.read_pieces(paths, names):
        inside = chosen[(chosen >= offset) & (chosen < offset + piece.num_rows)] - offset
        taken.append(piece.take(pa.array(inside)))
        offset += piece.num_rows
    if not taken:
        raise ValueError("the baseline has no rows")
    table = pa.concat_tables(taken, promote_options="permissive")
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table.to_pandas()
