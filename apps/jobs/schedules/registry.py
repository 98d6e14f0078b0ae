"""What a schedule may start: each app registers its own kind in its schedules.py, imported when Django is ready::

@on_schedule("monitoring.report", noun="monitor")
class ReportOnSchedule:
    def find(self, project, name): ...            # -> Subject; NotFound for one that is not there
    def subjects(self, keys): ...                 # -> {key: Subject} of those that are alive
    def check(self, actor, project, key, parameters): ...   # -> parameters as they are kept; raises Invalid
    def fields(self, key): ...                    # -> {name: form field} of the parameters
    def fire(self, firing): ...                   # -> Started: makes rows and jobs, in the firing's transaction
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from django import forms

from apps.accounts.access import Actor
from apps.accounts.models import Project
from foundation.errors import AtelierError


@dataclass(frozen=True)
class Subject:
    """What a schedule starts: its key in the database, its name and its page."""

    key: str
    name: str
    url: str


@dataclass(frozen=True)
class Firing:
    """One due time of one schedule. previous: the last due time at which something was started, None the first time,
    and previous_key what that was.
    set_at: when a person last set the schedule: what was changed later by others, that person has not seen.
    """

    project: Project
    actor: Actor
    key: str
    parameters: dict[str, Any]
    due: datetime.datetime
    previous: datetime.datetime | None
    previous_key: str
    set_at: datetime.datetime


@dataclass(frozen=True)
class Started:
    """What a firing made, for the list of firings. key: found again by the next firing as `previous_key`."""

    title: str
    url: str
    key: str = ""


class NotNow(AtelierError):
    """Raised by fire(): this time is left out, and that is no failure."""

    status = 409


class Handler(Protocol):
    """What an app does with its schedules."""

    def find(self, project: Project, name: str) -> Subject:
        """The subject of that name. Raises NotFound."""
        ...

    def subjects(self, keys: Collection[str]) -> dict[str, Subject]:
        """The subjects with these keys that are not in the trash."""
        ...

    def check(self, actor: Actor, project: Project, key: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters as they are kept. Raises Invalid."""
        ...

    def fields(self, key: str) -> dict[str, forms.Field]:
        """The parameters as fields of the page's form."""
        ...

    def fire(self, firing: Firing) -> Started:
        """Start it, in the transaction of the firing: with it, all of this happens exactly once or not at all.

        Raises NotFound or Forbidden when it can never work again (the schedule switches itself off), NotNow to leave
        this time out, any other AtelierError when it did not work this time.
        """
        ...


@dataclass(frozen=True)
class Kind:
    """A registered kind of schedule. noun: what the subject is called in the API and on pages."""

    name: str
    noun: str
    handler: Handler


_kinds: dict[str, Kind] = {}


def on_schedule(name: str, *, noun: str) -> Callable[[type[Any]], type[Any]]:
    """Register a class as the handler of a kind of schedule."""

    def register(handler: type[Any]) -> type[Any]:
        known = _kinds.get(name)
        if known is not None and type(known.handler).__qualname__ != handler.__qualname__:
            raise ValueError(f"two handlers of the schedule {name}")
        _kinds[name] = Kind(name, noun, handler())
        return handler

    return register


def kind_called(name: str) -> Kind | None:
    """The kind of that name, None for one that this version does not know."""
    return _kinds.get(name)


def kind_of_noun(noun: str) -> Kind | None:
    """The kind whose subject is called so."""
    return next((kind for kind in _kinds.values() if kind.noun == noun), None)


def known_kinds() -> list[Kind]:
    """All kinds, by noun."""
    return sorted(_kinds.values(), key=lambda kind: kind.noun)
