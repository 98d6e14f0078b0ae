"""The tour of the session's studio, run once for all tests that look at what it leaves."""

from __future__ import annotations

import pytest

from tests.support.studio import Studio


@pytest.fixture(scope="session")
def toured(studio: Studio) -> str:
    """What the tour said when it ran through."""
    return studio.manage("tour", timeout=600)
