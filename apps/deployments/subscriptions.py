"""News that deployments act on."""

from __future__ import annotations


def connect() -> None:
    """Subscribe to the registry's news."""
