"""How the suite is spread over processes (pytest-xdist, `--dist loadgroup`): a file stays together, and so does
everything that shares the one running studio. Each process has a throw-away home and servers of its own."""

from __future__ import annotations

import os

import pytest

STUDIO = "studio"
SHARED = {"studio", "bentos"}  # fixtures of a session that are dear to make: one process makes them


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name each test's group. A file of which one test needs the studio goes where the studio is."""
    with_studio = {item.path for item in items if SHARED & set(getattr(item, "fixturenames", ()))}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(STUDIO if item.path in with_studio else item.path.as_posix()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """The processes make homes of their own: they begin with the suite's settings, not with those of children."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
