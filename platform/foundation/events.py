"""Upward news: frozen dataclasses, delivered in two ways.

`subscribe` hears of an event when the transaction has committed. Such a call may be lost when the process dies,
and a failing subscriber is logged and never harms the publisher: whatever must not be lost is a row or a job.

`record` hears of it inside the publisher's transaction, in order to write rows that stand or fall with it. Its own
mistake is rolled back to a savepoint and logged; a database that went away ends the publisher's transaction too.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, transaction

logger = logging.getLogger(__name__)
E = TypeVar("E")
Subscriber = Callable[[Any], None]
_subscribers: dict[type, list[Subscriber]] = defaultdict(list)
_recorders: dict[type, list[Subscriber]] = defaultdict(list)
_conditions: dict[tuple[type, Subscriber], Callable[[Any], bool]] = {}


def subscribe(event_class: type[E]) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
    """Register a function to be called with each event of that class, after commit."""
    return partial(_register, _subscribers[event_class])


def record(
    event_class: type[E], *, when: Callable[[E], bool] | None = None
) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
    """Register a function to be called with each event of that class, inside the transaction that publishes it.

    It must be quick and only write rows: the publisher's locks are held meanwhile. when: of which events it hears at
    all; the others then cost no savepoint.
    """

    def register(function: Callable[[E], None]) -> Callable[[E], None]:
        if when is not None:
            _conditions[event_class, function] = when
        return _register(_recorders[event_class], function)

    return register


def _register(known: list[Subscriber], function: Callable[[E], None]) -> Callable[[E], None]:
    if function not in known:
        known.append(function)
    return function


def publish(event: object) -> None:
    """Hand an event to its recorders now, and to its subscribers when the current transaction commits (at once
    outside one)."""
    for function in _recorders.get(type(event), []):
        when = _conditions.get((type(event), function))
        if when is None or when(event):
            _record(function, event)
    for function in _subscribers.get(type(event), []):
        transaction.on_commit(partial(_deliver, function, event))


def _record(function: Subscriber, event: object) -> None:
    try:
        with transaction.atomic():
            function(event)
    except (OperationalError, InterfaceError):
        raise  # the publisher's own transaction has gone with the connection
    except Exception:
        logger.exception("recorder %s failed on %r", getattr(function, "__qualname__", function), event)


def _deliver(function: Subscriber, event: object) -> None:
    try:
        function(event)
    except Exception:
        logger.exception("subscriber %s failed on %r", getattr(function, "__qualname__", function), event)
