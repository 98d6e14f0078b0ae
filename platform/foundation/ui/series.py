"""Series colours: a run keeps one colour everywhere.

There are ten, told apart by colour-blind eyes (checked by tests/ui). An id is hashed to one of them; where
several ids stand side by side, the later one moves on to the next free colour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

SERIES_COUNT = 10


def series_index(identity: object) -> int:
    """The colour of an id, 1 to 10, the same on every page and in every process."""
    digest = hashlib.blake2s(str(identity).replace("-", "").encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % SERIES_COUNT + 1


def assign_series(identities: Iterable[object]) -> dict[str, int]:
    """Colours for ids shown together, without doubles up to ten.

    Returns str(id) → 1…10. The first id always keeps its own colour; one that collides takes the next free.
    """
    assigned: dict[str, int] = {}
    for identity in identities:
        wanted = series_index(identity)
        used = set(assigned.values())
        for step in range(SERIES_COUNT):
            candidate = (wanted - 1 + step) % SERIES_COUNT + 1
            if candidate not in used:
                wanted = candidate
                break
        assigned[str(identity)] = wanted
    return assigned


def series_colour(index: int) -> str:
    """The colour token a figure names; charts.js resolves it in the page's theme."""
    return f"var(--series-{(index - 1) % SERIES_COUNT + 1})"
