"""What LightGBM declares about itself, and whether it can run here."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from functools import cache

from apps.experiments.algorithms.schema import Algorithm, Parameter, Search


@cache
def probe() -> str | None:
    """Why LightGBM cannot run here, or None. Looks for the package and the OpenMP library it links to.

    LightGBM itself is not imported: it is large, and web asks this question too.
    """
    if importlib.util.find_spec("lightgbm") is None:
        return "LightGBM is hidden because its Python package is not installed."
    library = "libomp.dylib" if sys.platform == "darwin" else "libgomp.so.1"
    try:
        ctypes.CDLL(library)
    except OSError:
        return (
            f"LightGBM is hidden because the system library {library} does not load; "
            "on Debian and Ubuntu the package libgomp1 brings it."
        )
    return None


ALGORITHM = Algorithm(
    name="lightgbm",
    title="LightGBM",
    description="Gradient boosting with leaf-wise trees: very fast, strong on large tables.",
    iterations="trees",
    order=35,
    probe=lambda: probe(),
    parameters=(
        Parameter(
            "n_estimators",
            "int",
            200,
            "Trees",
            "Number of boosting rounds.",
            low=1,
            high=5000,
            log=True,
            search=Search(low=50, high=400),
        ),
        Parameter(
            "learning_rate",
            "float",
            0.1,
            "Learning rate",
            "Smaller steps need more trees and often end better.",
            low=1e-4,
            high=1.0,
            log=True,
            search=Search(low=0.01, high=0.3),
        ),
        Parameter(
            "num_leaves",
            "int",
            31,
            "Leaves per tree at most",
            "Larger trees find finer interactions.",
            low=2,
            high=1024,
            log=True,
            search=Search(low=7, high=127),
        ),
        Parameter(
            "max_depth",
            "int",
            None,
            "Depth at most",
            "Shallower trees overfit less.",
            low=1,
            high=100,
            nullable=True,
            search=Search(low=2, high=12, offered=False),
        ),
        Parameter(
            "min_child_samples",
            "int",
            20,
            "Rows per leaf at least",
            "Lower it on small data.",
            low=1,
            high=1000,
            log=True,
            search=Search(low=5, high=100),
        ),
        Parameter(
            "subsample",
            "float",
            1.0,
            "Share of rows per tree",
            "Below 1 the trees differ more.",
            low=0.05,
            high=1.0,
            advanced=True,
            search=Search(low=0.5, high=1.0),
        ),
        Parameter(
            "colsample_bytree",
            "float",
            1.0,
            "Share of features per tree",
            "Below 1 the trees differ more.",
            low=0.05,
            high=1.0,
            advanced=True,
            search=Search(low=0.3, high=1.0),
        ),
        Parameter(
            "reg_alpha",
            "float",
            0.0,
            "L1 regularisation",
            "On leaf values.",
            low=0.0,
            high=1000.0,
            advanced=True,
            search=Search(low=1e-6, high=10.0, log=True, offered=False),
        ),
        Parameter(
            "reg_lambda",
            "float",
            0.0,
            "L2 regularisation",
            "On leaf values.",
            low=0.0,
            high=1000.0,
            advanced=True,
            search=Search(low=1e-6, high=10.0, log=True),
        ),
        Parameter(
            "class_weight",
            "categorical",
            "none",
            "Class weights",
            "'balanced' gives rare classes more weight.",
            choices=("none", "balanced"),
            tasks=("classification",),
            advanced=True,
        ),
    ),
)
