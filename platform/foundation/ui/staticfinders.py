"""Serves plotly.min.js out of the installed plotly package, so that no copy lies in the repository."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

PREFIX = "vendor"
FILES = ("plotly.min.js",)


class PackageFinder(BaseFinder):
    """Finds ``vendor/plotly.min.js`` without importing plotly (which takes a second)."""

    def __init__(self, app_names: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        spec = importlib.util.find_spec("plotly")
        if spec is None or spec.submodule_search_locations is None:
            raise RuntimeError("The plotly package is not installed; run python3 manage.py doctor.")
        folder = Path(next(iter(spec.submodule_search_locations))) / "package_data"
        self.storage = FileSystemStorage(location=str(folder))
        self.storage.prefix = PREFIX  # type: ignore[attr-defined]  # read by collectstatic

    def check(self, **kwargs: Any) -> list[Any]:
        """Nothing is configurable, so nothing can be wrong."""
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        """The absolute path of a served file, or an empty list."""
        prefix, _, name = path.partition("/")
        if prefix == PREFIX and name in FILES:
            found = self.storage.path(name)
            return [found] if find_all else found
        return []

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, FileSystemStorage]]:
        """The files collectstatic copies."""
        for name in FILES:
            yield name, self.storage
