"""The registry of built-in algorithms: every folder here that holds a `manifest` module is one plug-in.

A plug-in has two modules. `manifest.py` is light (no scikit-learn): it defines ALGORITHM, whose parameter
schema renders the form, validates the API and offers the search space. `build.py` is imported only in the
sandbox: `build(task, parameters, seed)` answers an unfitted estimator, `curves(...)` its learning process.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from apps.experiments.algorithms.schema import Algorithm, Parameter
from foundation.errors import Invalid

__all__ = ["Algorithm", "Parameter", "available", "every", "get", "unavailable"]


@cache
def every() -> dict[str, Algorithm]:
    """All algorithms that have a folder here, usable or not, by name, in their display order."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        if module.ispkg:
            found.append(importlib.import_module(f"{__name__}.{module.name}.manifest").ALGORITHM)
    return {a.name: a for a in sorted(found, key=lambda a: (a.order, a.name))}


def available() -> list[Algorithm]:
    """The algorithms that can run on this machine, in display order."""
    return [a for a in every().values() if a.missing() is None]


def unavailable() -> list[tuple[Algorithm, str]]:
    """The algorithms hidden on this machine, each with the reason as a sentence."""
    return [(a, reason) for a in every().values() if (reason := a.missing()) is not None]


def get(name: object) -> Algorithm:
    """The usable algorithm of that name.

    Raises Invalid "algorithm.unknown" (naming the known ones) or "algorithm.unavailable" (with the reason).
    """
    algorithm = every().get(name) if isinstance(name, str) else None
    if algorithm is None:
        known = [a.name for a in available()]
        said = (
            "No algorithm is named." if name in (None, "") else f"There is no algorithm '{str(name)[:80]}'."
        )
        raise Invalid(
            "algorithm.unknown",
            f"{said} Known are: {', '.join(known)}.",
            {"field": "algorithm", "known": known},
        )
    reason = algorithm.missing()
    if reason is not None:
        raise Invalid("algorithm.unavailable", reason, {"field": "algorithm"})
    return algorithm
