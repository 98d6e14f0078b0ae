"""Drift metrics, one module each. A metric compares the counts of a baseline with the counts of windows.

To add one: write a module with the names of `DriftMetric` below, list it in METRICS, add a reference test in
tests/monitoring/test_metrics.py and a row in docs/monitoring.md.
"""

from typing import TYPE_CHECKING, Protocol, cast

from apps.monitoring.sandbox.metrics import jensen_shannon, psi

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class DriftMetric(Protocol):
    """What a module of this package offers.

    `measure` takes baseline counts of shape (bins,) and window counts of shape (windows, bins) and returns one
    value a window, NaN where the baseline or the window is empty.
    `noise` takes the same and a probability `alpha`, and returns for each window the value that the metric
    exceeds with about that probability although both samples come from one distribution.
    """

    NAME: str
    TITLE: str

    def measure(self, baseline: "ArrayLike", windows: "ArrayLike") -> "NDArray[np.float64]": ...

    def noise(
        self, baseline: "ArrayLike", windows: "ArrayLike", *, alpha: float
    ) -> "NDArray[np.float64]": ...


METRICS: dict[str, DriftMetric] = {module.NAME: cast(DriftMetric, module) for module in (jensen_shannon, psi)}
