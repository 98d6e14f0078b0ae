"""The search over everything: what was typed, what was found, and the sources that apps offer.

An app that has things to find says so in a module search.py with `SOURCES`, a tuple of `Source`; the
composition root gathers them. A source only ever looks into the projects of its `Scope`, which holds those
that the asking person may see, so what is not theirs cannot be found.
"""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast, Right

#: characters that are looked at; more cannot be a name
LONGEST = 200
#: words that are looked at
WORDS = 6
#: of so many newest matches the best ones are chosen
RANKED = 300
#: digits from which on a word may be the beginning of an id, and the length of the end that pages show
SHORTEST_ID, SHOWN_ID = 6, 8
_HEX = re.compile(rf"[0-9a-f]{{{SHORTEST_ID},32}}")


@dataclass(frozen=True)
class Needle:
    """What was typed: its words in small letters, and, where it may be part of an id, its hex digits."""

    text: str
    words: tuple[str, ...]
    digits: str = ""

    @classmethod
    def of(cls, typed: str) -> Needle:
        """Read what was typed. NUL and white space at the ends do not count."""
        text = " ".join(typed.replace("\x00", "")[:LONGEST].split())
        digits = text.lower().replace("-", "")
        return cls(text, tuple(text.lower().split()[:WORDS]), digits if _HEX.fullmatch(digits) else "")

    def __bool__(self) -> bool:
        return bool(self.words)

    def in_fields(self, *names: str) -> Q:
        """Rows in which every word stands in one of the fields."""
        found = Q()
        for word in self.words:
            found &= Q(*[(f"{name}__icontains", word) for name in names], _connector=Q.OR)
        return found

    def among(self, words: str) -> bool:
        """Whether every word stands in a text."""
        lowered = words.lower()
        return all(word in lowered for word in self.words)

    def id_range(self) -> tuple[uuid.UUID, uuid.UUID] | None:
        """The first and the last id that begin with the digits, or None."""
        if not self.digits:
            return None
        return uuid.UUID(self.digits.ljust(32, "0")), uuid.UUID(self.digits.ljust(32, "f"))


@dataclass(frozen=True)
class Hit:
    """One thing that was found. project: its slug; empty for what lies in none."""

    kind: str
    id: str
    title: str
    url: str
    project: str = ""
    project_name: str = ""
    note: str = ""
    state: str = ""
    at: datetime.datetime | None = None


@dataclass(frozen=True)
class Scope:
    """Where may be looked: the projects, by id, and the teams of the person who asks; `near` is the project
    they are in."""

    projects: Mapping[uuid.UUID, Any]
    teams: frozenset[uuid.UUID] = frozenset()
    near: uuid.UUID | None = None

    def hit(
        self, kind: str, row: Any, url: str, *, title: str = "", note: str = "", state: str = "", id: str = ""
    ) -> Hit:
        """A row of one of the projects as a hit."""
        project = self.projects[row.project_id]
        return Hit(
            kind=kind,
            id=id or str(row.pk),
            title=title or row.name,
            url=url,
            project=project.slug,
            project_name=project.name,
            note=note.strip().split("\n")[0][:120],
            state=state,
            at=row.created_at,
        )


@dataclass(frozen=True)
class Source:
    """Things of one kind. find(scope, needle, limit) answers the best hits, best first; order: where the kind
    stands among the others."""

    kind: str
    label: str
    icon: str
    find: Callable[[Scope, Needle, int], list[Hit]]
    order: int = 100


def best_rows(
    rows: QuerySet[Any],
    scope: Scope,
    needle: Needle,
    *,
    limit: int,
    name: str = "name",
    also: tuple[str, ...] = (),
    newest: str = "-created_at",
    project: str = "project_id",
    ids: bool = True,
) -> list[Any]:
    """The rows of the scope that fit, best first: the name itself, then names that begin so, then the rest, and
    the newest first among equals; those of the project one is in before all others.

    `name`: the field that is the name; `also`: further fields whose words count; ids=False: rows whose ids
    nobody has seen. Chosen among the RANKED newest that fit, so that a word that fits everywhere costs no more.
    """
    inside = rows.filter(**{f"{project}__in": list(scope.projects)})
    fits = needle.in_fields(name, *also)
    if ids and (span := needle.id_range()) is not None:
        fits |= Q(pk__range=span)
        if len(needle.digits) == SHOWN_ID:
            inside = inside.annotate(id_end=Right(Cast("pk", TextField()), SHOWN_ID))
            fits |= Q(id_end=needle.digits)
    found = inside.filter(fits).order_by(newest, "-pk").values_list("pk", name, project)[:RANKED]
    typed = needle.text.lower()

    def rank(item: tuple[int, tuple[Any, str, Any]]) -> tuple[bool, int, int]:
        place, (_, title, where) = item
        lowered = title.lower()
        near = 0 if lowered == typed else 1 if lowered.startswith(typed) else 2
        return where != scope.near, near, place

    best = [row[0] for _, row in sorted(enumerate(found), key=rank)[:limit]]
    whole = {row.pk: row for row in rows.filter(pk__in=best)} if best else {}
    return [whole[key] for key in best if key in whole]
