"""The kinds of nodes: every module here with a KIND is one plug-in.

To add one: write a module with a subclass of `base.NodeKind` and KIND = its instance, a section in
docs/pipelines.md, and a test in tests/pipelines/test_kinds.py.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from apps.pipelines.nodes.base import NodeKind

__all__ = ["NodeKind", "every", "get"]
_ORDER = ("dataset_check", "run", "study", "evaluate", "condition", "register", "promote", "deploy")


@cache
def every() -> dict[str, NodeKind]:
    """All kinds by name, in the order of a working life."""
    found: dict[str, NodeKind] = {}
    for module in pkgutil.iter_modules(__path__):
        kind = getattr(importlib.import_module(f"{__name__}.{module.name}"), "KIND", None)
        if kind is not None:
            found[kind.name] = kind
    return dict(sorted(found.items(), key=lambda item: (_rank(item[0]), item[0])))


def get(name: str) -> NodeKind:
    """The kind of that name. Raises KeyError for one that does not exist (any more)."""
    return every()[name]


def _rank(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
