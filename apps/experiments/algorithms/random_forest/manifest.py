"""What the random forest declares about itself."""

from __future__ import annotations

from apps.experiments.algorithms.schema import Algorithm, Parameter, Search

ALGORITHM = Algorithm(
    name="random_forest",
    title="Random forest",
    description="Many decision trees on random parts of the data vote. Robust, hardly needs tuning.",
    iterations="trees",
    order=20,
    parameters=(
        Parameter(
            "n_estimators",
            "int",
            200,
            "Trees",
            "More trees are steadier and slower.",
            low=1,
            high=2000,
            log=True,
            search=Search(low=50, high=400),
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
            search=Search(low=2, high=24),
        ),
        Parameter(
            "min_samples_leaf",
            "int",
            1,
            "Rows per leaf at least",
            "Larger leaves smooth the prediction.",
            low=1,
            high=500,
            log=True,
            search=Search(low=1, high=50),
        ),
        Parameter(
            "max_features",
            "categorical",
            "sqrt",
            "Features per split",
            "How many features each split may look at.",
            choices=("sqrt", "log2", "all"),
            search=Search(),
        ),
        Parameter(
            "criterion",
            "categorical",
            "gini",
            "Split criterion",
            "How the purity of a split is measured.",
            choices=("gini", "entropy", "log_loss"),
            tasks=("classification",),
            advanced=True,
        ),
        Parameter(
            "class_weight",
            "categorical",
            "none",
            "Class weights",
            "'balanced' gives rare classes more weight.",
            choices=("none", "balanced", "balanced_subsample"),
            tasks=("classification",),
            advanced=True,
        ),
        Parameter(
            "bootstrap", "boolean", True, "Bootstrap", "Each tree sees a resample of the rows.", advanced=True
        ),
    ),
)
