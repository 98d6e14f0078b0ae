"""A training that is watched: it tells how good it is on the way, and may be ended when it is hopeless."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Pruned(Exception):
    """The watcher has ended the training at this step; no mistake of anybody's."""

    def __init__(self, step: int, reason: str) -> None:
        super().__init__(reason)
        self.step = step
        self.reason = reason


class Watch(Protocol):
    """Looks at a training."""

    @property
    def steps(self) -> str:
        """What is told of: "folds", "iterations" or "" (nothing before the end)."""

    def at(self, step: int, metrics: Mapping[str, float]) -> None:
        """The metrics at a step: of the folds so far, or of the held-out rows after so many iterations.

        Raises Pruned.
        """

    def keeps(self, metrics: Mapping[str, float]) -> bool:
        """Whether the finished training is worth its model and figures. Raises UserError for one that is no
        result at all."""
