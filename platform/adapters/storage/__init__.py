"""One object store for all bytes of the studio, and the staging area where uploads arrive.

Public: `get_store()` (the store this process uses), `ObjectStore` (the Protocol), `MemoryStore` (the fake),
`keys` (how bytes are named), `staging` (received files that nobody has claimed yet).
"""

from __future__ import annotations

from adapters.storage.factory import configure, get_store, home_folder, open_store, reset_store
from adapters.storage.keys import check_key, content_key
from adapters.storage.memory import MemoryStore
from adapters.storage.protocol import ObjectStore

__all__ = [
    "MemoryStore",
    "ObjectStore",
    "check_key",
    "configure",
    "content_key",
    "get_store",
    "home_folder",
    "open_store",
    "reset_store",
]
