"""What the program ran on, so that a run can be understood and repeated."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

#: What a saved model needs to load, and what a reader of a run asks for first.
MODEL_PACKAGES = ("scikit-learn", "cloudpickle", "numpy", "pandas", "scipy")
PACKAGES_AT_MOST = 200
NOTABLE = (*MODEL_PACKAGES, "mlflow", "lightgbm", "pyarrow", "polars", "joblib", "threadpoolctl")


def describe(interpreter: str = "") -> dict[str, Any]:
    """{"python", "platform", "processors", "packages": {name: version}} of this process, or with the packages of
    the environment to which an interpreter belongs."""
    packages = {name: version for name in NOTABLE if (version := _version(name))}
    if interpreter:
        packages = _packages_of(Path(interpreter).parents[1])
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "processors": processors(),
        "packages": packages,
    }


def requirements(*extra: str) -> list[str]:
    """pip lines, pinned to what is installed here, of a model that may also need `extra` packages."""
    names = ["mlflow", *MODEL_PACKAGES, *extra]
    return [f"{name}=={version}" for name in names if (version := _version(name))]


def processors() -> int:
    """Processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def fair_share() -> int:
    """Threads for one training on a large table: half of the processors, since a worker has several slots.

    OpenMP's threads wait for one another actively. When trainings together have more threads than there are
    processors, each waits for the scheduler at every step, and all become slower by an order of magnitude.
    """
    return max(1, processors() // 2)


def _packages_of(place: Path) -> dict[str, str]:
    sites = [str(path) for path in place.glob("lib/python*/site-packages")]
    found = {str(one.metadata["Name"]): one.version for one in metadata.distributions(path=sites)}
    return {name: found[name] for name in sorted(found, key=str.lower)[:PACKAGES_AT_MOST]}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
