"""The revision of MLflow's tables that this package reads and writes."""

from __future__ import annotations

from foundation.errors import Unavailable

REVISION = "dc11669786a5"
"""Alembic head of the pinned MLflow release; a test compares it with the installed package."""


def explain(found: str | None) -> Unavailable:
    """The sentence for a database whose MLflow tables are missing or of another release."""
    if found is None:
        message = "MLflow's tables are missing: `python3 manage.py up` makes them."
    else:
        message = (
            f"MLflow's tables have revision {found}, this studio needs {REVISION}: run"
            " `python3 manage.py up`, which upgrades them, or install the release that matches them."
        )
    return Unavailable("tracking.revision", message, {"found": found, "needed": REVISION})
