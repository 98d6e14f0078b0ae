"""The isolation tier of this worker: the strongest that it can really give, or less where the operator says so."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.executors.choosing import Choice, choose
from adapters.executors.isolation import HIGHEST, Isolation

if TYPE_CHECKING:
    from runtime.config import Config

logger = logging.getLogger(__name__)


def choose_tier(config: Config) -> Choice:
    """Try what this machine can do, in the folder where attempts will lie."""
    ceiling = int(os.environ.get("ATELIER_ISOLATION") or HIGHEST)
    choice = choose(Path(config.attempts_dir), ceiling)
    for tier, reason in sorted(choice.reasons.items()):
        logger.info("isolation tier %d is not used: %s", tier, reason)
    return choice


def isolation_of(config: Config, choice: Choice) -> Isolation:
    """How this worker's programs are shut in: they reach the studio's own address and no other."""
    return Isolation(choice.tier, api=config.internal_url)
