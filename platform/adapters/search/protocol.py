"""What the studio asks of a search engine, and the values that cross.

A direction is told as `maximize`. Steps are whole numbers from 1. States of what was seen are Optuna's words in
lower case: running, complete, pruned, failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

#: Trials before TPE has anything to learn from.
STARTUP_TRIALS = 10
#: Complete trials before the median pruner judges.
MEDIAN_STARTUP = 5


class Dimension(Protocol):
    """One searched parameter; apps.tuning.space has the real one."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def low(self) -> float | int | None: ...
    @property
    def high(self) -> float | int | None: ...
    @property
    def log(self) -> bool: ...
    @property
    def step(self) -> float | int | None: ...
    @property
    def choices(self) -> Sequence[Any]: ...
    @property
    def points(self) -> float: ...
    def active(self, parameters: Mapping[str, Any]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A trial as the engine sees it. value: of a complete one; intermediate: step -> value so far."""

    number: int
    state: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)


class Search(Protocol):
    """A search engine. Every function is pure: the same arguments give the same answer."""

    def propose(
        self,
        space: Sequence[Dimension],
        *,
        maximize: bool,
        sampler: str,
        seed: int,
        number: int,
        history: Sequence[Seen],
    ) -> dict[str, Any] | None:
        """Parameters for the trial `number`, or None when the grid has no further point.

        sampler: tpe, random or grid. history: all other trials, those at work included, so that several at a
        time spread. A dimension that is not active for the values before it is left out.
        """

    def should_prune(
        self,
        pruner: str,
        *,
        maximize: bool,
        first: int,
        intermediate: Mapping[int, float],
        peers: Sequence[Seen],
    ) -> bool:
        """Whether a trial with these values so far is hopeless beside its peers.

        pruner: none, median or halving. first: the step from which trials are judged. Of the peers' values only
        those of `needed_steps` have to be there.
        """
