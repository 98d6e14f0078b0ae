"""The arena of the fault suite: one for all its tests, whole again after each, and checked after each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.arena import Arena
from tests.faults.checker import check


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """Of everything that is drawn at random; `--seed` replays a run."""
    import random

    given = request.config.getoption("--seed")
    return random.randrange(2**32) if given is None else int(given)


@pytest.fixture(scope="package")
def stage(seed: int) -> Iterator[Arena]:
    """The servers and processes, made once for all tests of this folder."""
    arena = Arena(seed)
    print(f"fault suite: --seed {seed}")
    try:
        yield arena.make()
    finally:
        arena.end()


@pytest.fixture
def arena(stage: Arena) -> Iterator[Arena]:
    """A studio with web, scheduler and one worker. After the test everything runs again, and the checker looks."""
    stage.recover()
    yield stage
    stage.recover()
    check(stage)
