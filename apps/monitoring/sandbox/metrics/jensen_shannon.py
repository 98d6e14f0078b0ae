"""Jensen-Shannon distance: the square root of the Jensen-Shannon divergence with logarithms to base 2.

JSD(P, Q) = ½ Σ p log2(p / m) + ½ Σ q log2(q / m) with m = ½ (p + q); the distance is √JSD, in [0, 1]: 0 for equal
distributions, 1 for distributions without a common bin. Empty bins need no smoothing.
Sources: J. Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37 (1991) 145-151;
that the root is a metric: D. Endres, J. Schindelin, IEEE Trans. Inf. Theory 49 (2003) 1858-1860.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

NAME = "jensen_shannon"
TITLE = "Jensen-Shannon distance"


def measure(baseline: "ArrayLike", windows: "ArrayLike") -> "NDArray[np.float64]":
    """Return the distance of every window from the baseline, shape (windows,), each in [0, 1].

    `baseline` holds counts of shape (bins,), `windows` counts of shape (windows, bins). An empty side gives NaN.
    """
    import numpy as np

    base = np.asarray(baseline, dtype=np.float64)
    live = np.atleast_2d(np.asarray(windows, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = base / base.sum()
        q = live / live.sum(axis=1, keepdims=True)
        middle = (p + q) / 2
        left = np.where(p > 0, p * np.log2(p / middle), 0.0).sum(axis=1)
        right = np.where(q > 0, q * np.log2(q / middle), 0.0).sum(axis=1)
    distance = np.sqrt(np.clip((left + right) / 2, 0.0, 1.0))
    empty = (live.sum(axis=1) == 0) | (base.sum() == 0)
    return np.where(empty, np.nan, distance)


def noise(baseline: "ArrayLike", windows: "ArrayLike", *, alpha: float) -> "NDArray[np.float64]":
    """Return the distance that mere sampling exceeds with probability `alpha`, shape (windows,).

    The distance of two finite samples of one distribution is never zero and grows as samples shrink: about 0.1 for
    200 rows in ten bins. To second order JSD ≈ Σ (p - q)² / (8 ln 2 · m), and for samples of sizes n and N drawn
    from one distribution over k bins 8 ln 2 · JSD / (1/n + 1/N) follows a chi-square law with k - 1 degrees of
    freedom, hence  d_α = √( χ²_{k-1}(1-α) · (1/n + 1/N) / (8 ln 2) ).
    Sources: M. Menéndez et al., "The Jensen-Shannon divergence", J. Franklin Inst. 334B (1997) 307-318;
    I. Grosse et al., "Analysis of symbolic sequences using the Jensen-Shannon divergence", Phys. Rev. E 65 (2002)
    041905 (there with weights by sample size, here with equal ones).
    """
    import numpy as np
    from scipy.special import chdtri

    base = np.asarray(baseline, dtype=np.float64)
    live = np.atleast_2d(np.asarray(windows, dtype=np.float64))
    freedom = np.maximum(((base + live) > 0).sum(axis=1) - 1, 0)
    with np.errstate(divide="ignore"):
        size = 1 / live.sum(axis=1) + 1 / base.sum()
    quantile = np.where(freedom > 0, chdtri(np.maximum(freedom, 1), alpha), 0.0)
    limit = np.sqrt(np.clip(quantile * np.minimum(size, 2.0) / (8 * np.log(2)), 0.0, 1.0))
    return np.asarray(limit, dtype=np.float64)
