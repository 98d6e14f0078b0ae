"""What the linear models declare about themselves."""

from __future__ import annotations

from apps.experiments.algorithms.schema import Algorithm, Parameter, Search

ALGORITHM = Algorithm(
    name="linear",
    title="Linear model",
    description="Logistic regression for classes, ridge regression for numbers. Fast, easy to explain; "
    "a good first baseline.",
    scales=True,
    order=10,
    parameters=(
        Parameter(
            "C",
            "float",
            1.0,
            "Inverse regularisation (C)",
            "Smaller values regularise more strongly.",
            low=1e-5,
            high=1e5,
            log=True,
            tasks=("classification",),
            search=Search(low=1e-4, high=1e3),
        ),
        Parameter(
            "alpha",
            "float",
            1.0,
            "Regularisation (alpha)",
            "Larger values shrink the coefficients more.",
            low=1e-6,
            high=1e6,
            log=True,
            tasks=("regression",),
            search=Search(low=1e-4, high=1e3),
        ),
        Parameter(
            "l1_ratio",
            "float",
            0.0,
            "L1 share",
            "0 is pure L2 (ridge), 1 pure L1 (lasso), which sets unhelpful coefficients to zero.",
            low=0.0,
            high=1.0,
            search=Search(),
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
            search=Search(offered=False),
        ),
        Parameter(
            "max_iter",
            "int",
            1000,
            "Iterations at most",
            "The solver stops earlier when it has converged.",
            low=10,
            high=20000,
            log=True,
            advanced=True,
            search=Search(low=100, high=5000, offered=False),
        ),
        Parameter(
            "fit_intercept", "boolean", True, "Intercept", "Fit a constant term as well.", advanced=True
        ),
    ),
)
