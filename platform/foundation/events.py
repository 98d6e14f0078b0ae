"""Upward news: frozen dataclasses published when the transaction commits.

An event tells upper layers that something happened; it may be lost when the process dies, so whatever
must not be lost is a row or a job instead. A failing subscriber is logged and never harms the publisher.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from django.db import transaction

logger = logging.getLogger(__name__)
E = TypeVar("E")
_subscribers: dict[type, list[Callable[[Any], None]]] = defaultdict(list)


def subscribe(event_class: type[E]) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
    """Register a function to be called with each event of that class, after commit."""

    def register(function: Callable[[E], None]) -> Callable[[E], None]:
        if function not in _subscribers[event_class]:
            _subscribers[event_class].append(function)
        return function

    return register


def publish(event: object) -> None:
    """Deliver an event to its subscribers when the current transaction commits (at once outside one)."""
    for function in _subscribers.get(type(event), []):
        transaction.on_commit(partial(_deliver, function, event))


def _deliver(function: Callable[[Any], None], event: object) -> None:
    try:
        function(event)
    except Exception:
        logger.exception("subscriber %s failed on %r", getattr(function, "__qualname__", function), event)
