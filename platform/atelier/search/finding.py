"""Asks every source of every app, only within the projects of the person who asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from django.conf import settings

from apps.accounts.access import Actor, visible_projects, visible_teams
from apps.accounts.models import Project
from atelier.discovery import optional_module
from atelier.search.places import find_places
from foundation.errors import Invalid
from foundation.search import Hit, Needle, Scope, Source

#: hits of each kind beside those of all others, and where only one kind is asked for
FEW, MANY = 5, 50


@dataclass(frozen=True)
class Found:
    """The hits of one kind, best first; `more`: there are further ones that are not shown."""

    source: Source
    hits: list[Hit] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True)
class Results:
    """Everything that was found, by kind."""

    needle: Needle
    groups: list[Found] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many hits are shown."""
        return sum(len(group.hits) for group in self.groups)


@cache
def sources() -> dict[str, Source]:
    """All sources by kind, in their order."""
    found: list[Source] = []
    for app in settings.DOMAIN_APPS:
        module = optional_module(f"apps.{app}.search")
        found += getattr(module, "SOURCES", ())
    return {source.kind: source for source in sorted(found, key=lambda source: source.order)}


def scope_of(actor: Actor, *, only: Project | None = None, near: str = "") -> Scope:
    """Where the actor may look: everywhere that is theirs, or in one project. near: slug of the present one."""
    projects = [only] if only is not None else list(visible_projects(actor).distinct())
    teams = visible_teams(actor).values_list("pk", flat=True) if only is None else ()
    at = next((project.pk for project in projects if project.slug == near), None)
    return Scope({project.pk: project for project in projects}, frozenset(teams), at)


def search(
    actor: Actor,
    typed: str,
    *,
    kind: str = "",
    project: Project | None = None,
    near: str = "",
    places: bool = True,
) -> Results:
    """What fits, by kind. `places` adds pages and actions. Raises Invalid "search.kind" for an unknown kind."""
    needle = Needle.of(typed)
    known = sources()
    if kind and kind not in known:
        raise Invalid("search.kind", f"kind is one of {', '.join(known)}.", {"kind": kind[:40]})
    if not needle:
        return Results(needle)
    scope = scope_of(actor, only=project, near=near)
    asked: Sequence[Source] = [known[kind]] if kind else list(known.values())
    limit = MANY if kind else FEW
    groups = [_group(source, source.find(scope, needle, limit + 1), limit) for source in asked]
    if places and not kind:
        groups.append(Found(PLACES, find_places(actor, scope, needle)))
    return Results(needle, [group for group in groups if group.hits])


def _group(source: Source, hits: list[Hit], limit: int) -> Found:
    return Found(source, hits[:limit], more=len(hits) > limit)


PLACES = Source("place", "Pages and actions", "arrow-right", lambda scope, needle, limit: [], order=1000)
