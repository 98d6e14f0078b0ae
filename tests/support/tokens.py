"""Tokens for tests."""

from __future__ import annotations

from typing import Any


def secret_for(user: Any, *, scope: str = "write", project: Any = None, days: int | None = None) -> str:
    """A fresh token's secret."""
    from apps.accounts.access import SYSTEM
    from apps.accounts.actions import create_token

    _, secret = create_token(actor=SYSTEM, user=user, name="test", scope=scope, project=project, days=days)
    return secret
