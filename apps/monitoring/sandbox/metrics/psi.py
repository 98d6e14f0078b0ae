"""Population stability index: the symmetric Kullback-Leibler divergence, as scorecard builders use it.

PSI(P, Q) = Σ (q - p) · ln(q / p). Habit: below 0.1 stable, 0.1 to 0.25 some change, above 0.25 a shift; these
bounds ignore the sample's size, which is why alerts do not use them.
Sources: N. Siddiqi, Credit Risk Scorecards (Wiley 2006), ch. 8; sampling behaviour: B. Yurdakul, J. Naranjo,
"Statistical properties of the population stability index", J. Risk Model Validation 14 (2020) 89-100.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

NAME = "psi"
TITLE = "Population stability index"


def _smooth(counts: "NDArray[np.float64]", used: "NDArray[np.bool_]") -> "NDArray[np.float64]":
    """Return shares with half a row added to every used bin, so that an empty bin gives a finite logarithm."""
    import numpy as np

    filled = np.where(used, counts + 0.5, 0.0)
    return np.asarray(filled / filled.sum(axis=-1, keepdims=True), dtype=np.float64)


def measure(baseline: "ArrayLike", windows: "ArrayLike") -> "NDArray[np.float64]":
    """Return the index of every window, shape (windows,), ≥ 0, NaN where a side is empty.

    Bins that are empty on both sides are left out; to the others half a row is added (Haldane's correction), so
    that the value stays finite and does not hang on an arbitrary epsilon.
    """
    import numpy as np

    base = np.asarray(baseline, dtype=np.float64)
    live = np.atleast_2d(np.asarray(windows, dtype=np.float64))
    used = (base + live) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = _smooth(np.broadcast_to(base, live.shape), used), _smooth(live, used)
        index = np.where(used, (q - p) * np.log(q / p), 0.0).sum(axis=1)
    empty = (live.sum(axis=1) == 0) | (base.sum() == 0)
    return np.where(empty, np.nan, index)


def noise(baseline: "ArrayLike", windows: "ArrayLike", *, alpha: float) -> "NDArray[np.float64]":
    """Return the index that mere sampling exceeds with probability `alpha`, shape (windows,).

    For samples of sizes n and N of one distribution PSI / (1/n + 1/N) follows a chi-square law with (bins - 1)
    degrees of freedom (Yurdakul and Naranjo 2020, section 3).
    """
    import numpy as np
    from scipy.special import chdtri

    base = np.asarray(baseline, dtype=np.float64)
    live = np.atleast_2d(np.asarray(windows, dtype=np.float64))
    freedom = np.maximum(((base + live) > 0).sum(axis=1) - 1, 0)
    with np.errstate(divide="ignore"):
        size = 1 / live.sum(axis=1) + 1 / base.sum()
    quantile = np.where(freedom > 0, chdtri(np.maximum(freedom, 1), alpha), 0.0)
    return np.asarray(quantile * size, dtype=np.float64)
