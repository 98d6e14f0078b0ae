"""How good the predictions of a window were, for those of its rows whose true value has arrived.

The names of the scores are those of the runs' metrics, so that a window can be held against the hold-out.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

CLASSIFICATION = "classification"
REGRESSION = "regression"


def score_classes(
    truth: "NDArray[np.int64]",
    predicted: "NDArray[np.int64]",
    positive: "NDArray[np.float64] | None" = None,
    *,
    binary: bool = False,
) -> dict[str, float]:
    """Return accuracy and macro precision, recall and F1; for two classes (numbers 0 and 1) also those of class 1.

    `truth` and `predicted` are class numbers of shape (rows,); `binary`: the model knows two classes; `positive` is
    the probability of class 1, and adds the area under the ROC curve where both classes occur. Macro means the plain mean over
    all classes that occur in truth or prediction; a ratio with an empty denominator counts as 0, as in scikit-learn.
    """
    import numpy as np

    classes = max(int(max(truth.max(initial=-1), predicted.max(initial=-1))) + 1, 2)
    table = np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    hits, actual, claimed = np.diag(table).astype(float), table.sum(axis=1), table.sum(axis=0)
    used = (actual + claimed) > 0
    precision = np.divide(hits, claimed, out=np.zeros(classes), where=claimed > 0)
    recall = np.divide(hits, actual, out=np.zeros(classes), where=actual > 0)
    f1 = 2 * hits / np.maximum(actual + claimed, 1)
    scores = {
        "accuracy": float(hits.sum() / len(truth)),
        "precision_macro": float(precision[used].mean()),
        "recall_macro": float(recall[used].mean()),
        "f1_macro": float(f1[used].mean()),
    }
    if binary:
        scores |= {"precision": float(precision[1]), "recall": float(recall[1]), "f1": float(f1[1])}
    if positive is not None and 0 < int((truth == 1).sum()) < len(truth):
        scores["roc_auc"] = area_under_roc(truth == 1, positive)
    return scores


def area_under_roc(truth: "NDArray[np.bool_]", score: "ArrayLike") -> float:
    """Return P(score of a positive > score of a negative) + ½ P(equal): the Mann-Whitney form of the area.

    Source: J. Hanley, B. McNeil, "The meaning and use of the area under a ROC curve", Radiology 143 (1982) 29-36.
    """
    import numpy as np

    _, inverse, times = np.unique(np.asarray(score), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[inverse]
    positives = int(truth.sum())
    negatives = len(truth) - positives
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def score_values(truth: "NDArray[np.float64]", predicted: "NDArray[np.float64]") -> dict[str, float]:
    """Return the root mean squared error, the mean absolute error, the mean error (bias), and R²."""
    import numpy as np

    errors = predicted - truth
    spread = float(((truth - truth.mean()) ** 2).sum())
    scores = {
        "rmse": float(np.sqrt((errors**2).mean())),
        "mae": float(np.abs(errors).mean()),
        "bias": float(errors.mean()),
    }
    if spread > 0:
        scores["r2"] = 1 - float((errors**2).sum()) / spread
    return scores
