"""Addresses of our static files that change with their content, so that browsers may keep them for ever.

There is no build step: the version is a digest of the file, put into the query. The server answers these
folders as immutable (WHITENOISE_IMMUTABLE_FILE_TEST in atelier.settings).
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache

from django.contrib.staticfiles import finders
from django.templatetags.static import static


def asset(path: str) -> str:
    """The URL of a static file with its version. Raises FileNotFoundError for a file that is not there."""
    found = _find(path)
    return f"{static(path)}?v={_digest(found, os.stat(found).st_mtime_ns)}"


@lru_cache(maxsize=256)
def _find(path: str) -> str:
    found = finders.find(path)
    if not found:
        raise FileNotFoundError(f"There is no static file {path}.")
    return str(found)


@lru_cache(maxsize=256)
def _digest(file: str, changed: int) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "blake2s").hexdigest()[:10]
