"""State machines: one transition table per machine, every move a compare-and-set.

A move is a single UPDATE ... WHERE state IN (from): zero rows changed means that somebody else won, and
the caller returns quietly. State is never assigned to an instance and saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import QuerySet


class Transitions:
    """The allowed moves of one state machine.

    >>> t = Transitions({"queued": {"running"}, "running": {"done"}})
    >>> t.sources("running")
    frozenset({'queued'})
    """

    def __init__(self, table: Mapping[str, Iterable[str]]) -> None:
        self.table: dict[str, frozenset[str]] = {str(k): frozenset(map(str, v)) for k, v in table.items()}

    def allows(self, frm: str, to: str) -> bool:
        """Whether the machine may go from one state to the other."""
        return str(to) in self.table.get(str(frm), frozenset())

    def sources(self, to: str) -> frozenset[str]:
        """All states from which `to` can be reached in one step."""
        return frozenset(k for k, v in self.table.items() if str(to) in v)

    def move(
        self,
        queryset: QuerySet[Any],
        *,
        to: str,
        frm: Iterable[str] | str | None = None,
        field: str = "state",
        **fields: Any,
    ) -> bool:
        """Compare-and-set: set `field` to `to` on the rows now in `frm` (default: every allowed source).

        Returns whether a row changed. Raises ValueError when the table does not know such a move: that
        is a programming mistake, not a race.
        """
        if frm is None:
            allowed = self.sources(to)
        else:
            allowed = frozenset([str(frm)] if isinstance(frm, str) else map(str, frm))
            unknown = {f for f in allowed if not self.allows(f, to)}
            if unknown:
                raise ValueError(f"no transition from {sorted(unknown)} to {to}")
        if not allowed:
            raise ValueError(f"no state leads to {to}")
        changed = queryset.filter(**{f"{field}__in": sorted(allowed)}).update(**{field: to}, **fields)
        return changed > 0


def move(
    queryset: QuerySet[Any], *, to: str, frm: Iterable[str] | str, field: str = "state", **fields: Any
) -> bool:
    """The bare compare-and-set for machines whose table is checked elsewhere."""
    sources = [str(frm)] if isinstance(frm, str) else [str(f) for f in frm]
    return queryset.filter(**{f"{field}__in": sources}).update(**{field: to}, **fields) > 0
