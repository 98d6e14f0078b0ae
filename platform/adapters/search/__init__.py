"""The search engine of studies as pure functions of their rows: which parameters next, and is a trial
hopeless.

Public: `get_search()` (Optuna), `use_search()` and the values of `protocol`; `grid` lists the points of a finite
space. Nothing is kept between two calls and nothing here imports optuna when it is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.search.grid import GRID_AT_MOST, grid_points, grid_size
from adapters.search.protocol import Dimension, Search, Seen
from adapters.search.rungs import needed_steps

__all__ = [
    "GRID_AT_MOST",
    "Dimension",
    "Search",
    "Seen",
    "get_search",
    "grid_points",
    "grid_size",
    "needed_steps",
    "use_search",
]

_current: Search | None = None


def get_search() -> Search:
    """The search engine of this process: Optuna, or what `use_search` put in its place."""
    global _current
    if _current is None:
        from adapters.search.engine import OptunaSearch

        _current = OptunaSearch()
    return _current


@contextmanager
def use_search(search: Search) -> Iterator[Search]:
    """Replace the search engine of this process for the length of a block (tests)."""
    global _current
    before, _current = _current, search
    try:
        yield search
    finally:
        _current = before
