"""Which optional modules of the apps exist (urls, api, tasks): the composition root wires what it finds."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType


def exists(name: str) -> bool:
    """Whether a module can be found, without importing it (its parents are)."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            return False
        raise


def optional_module(name: str) -> ModuleType | None:
    """The module, or None when there is none."""
    return importlib.import_module(name) if exists(name) else None
