"""How the suite is spread over processes (pytest-xdist): a file stays together, and all files that share the one
running studio stay together, as do those that break the fault suite's own. Each process has a throw-away home and
servers of its own.

The groups are read from the files' text, since the process that hands out the work sees names of tests only.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
STUDIO, ARENA = "studio", "faults"
#: fixtures of a session that are dear to make: one process makes them
_SHARES = re.compile(r"\b(studio: Studio|toured: |bentos)\b")
_BREAKS = re.compile(r"\barena: Arena\b")
_LONG = re.compile(r"mark\.(engine|fault)\b")


@cache
def group_of(nodeid: str) -> tuple[int, str]:
    """The rank of a test's group (what takes longest begins) and its name."""
    path = nodeid.partition("::")[0]
    text = (ROOT / path).read_text(encoding="utf-8")
    if _SHARES.search(text):
        return 0, STUDIO
    if _BREAKS.search(text):
        return 1, ARENA
    return (1 if _LONG.search(text) else 2), path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """The processes make homes of their own: they begin with the suite's settings, not with those of children."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out groups in place of single tests."""
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)[1]

    return Groups(config, log)
