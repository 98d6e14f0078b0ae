"""A worker's membership of the studio: its row, its signs of life, and what it is told in return."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.storage import get_store
from adapters.storage.mark import check_mark
from apps.jobs import nodes
from apps.jobs.workers import host, reachability

if TYPE_CHECKING:
    from runtime.config import Config

logger = logging.getLogger(__name__)


class Membership:
    """Kept by the heart of a worker. `pause` is called with True when somebody asked the worker to take no new
    work, and with False when it may again."""

    def __init__(self, name: str, facts: dict[str, Any], folder: Path, pause: Callable[[bool], None]) -> None:
        self.name = name
        self.facts = facts
        self.folder = folder
        self.pause = pause
        self.paused = False
        self.probe = reachability.Probe(str(facts["about"].get("internal_url", "")))

    def check_in(self, name: str) -> None:
        """One sign of life. A row that was removed is made again: the studio forgot us, or was restored."""
        news = {"load": host.load(self.folder), "web": self.probe.finding}
        asked = nodes.check_in(name, news)
        self.probe.look_again()
        if asked is None:
            logger.warning("the row of %s was gone; it registers again", name)
            nodes.register(kind="worker", name=name, **self.facts)
            asked = False
        if asked != self.paused:
            self.paused = asked
            logger.info("%s %s", name, "takes no new work" if asked else "takes work again")
            self.pause(asked)


def facts_of(config: Config, *, tier: int, **about: Any) -> dict[str, Any]:
    """What a worker registers with."""
    return {
        "generation": config.generation,
        "queues": list(config.queues),
        "slots": config.slots,
        "tier": tier,
        "version": host.release(config.root),
        "resources": host.offered(config),
        "about": {**host.describe(config), **about},
    }


def check_services(config: Config) -> None:
    """Whether a worker outside the studio's own machine was given the studio's store and key. Raises Conflict
    "storage.foreign" and what the store raises."""
    if not config.embedded_database and config.keeper_pid is None:
        check_mark(get_store(), config.secret_key)
