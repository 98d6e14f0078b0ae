"""The contract of search engines, kept by Optuna and by its fake twin."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from adapters.search import Search, Seen, grid_points, grid_size, needed_steps
from adapters.search.engine import OptunaSearch
from adapters.search.fake import FakeSearch
from apps.tuning.space import Condition, Dimension

SPACE = [
    Dimension("rate", "float", 0.001, 1.0, log=True),
    Dimension("depth", "int", 1, 9),
    Dimension("kind", "categorical", choices=("a", "b", None)),
    Dimension("share", "float", 0.1, 0.9, step=0.2, when=(Condition("kind", ("b",)),)),
]


@pytest.fixture(params=[OptunaSearch, FakeSearch], ids=["optuna", "fake"])
def search(request: pytest.FixtureRequest) -> Search:
    engine: Search = request.param()
    return engine


def ask(search: Search, number: int = 0, history: Sequence[Seen] = (), **more: Any) -> dict[str, Any] | None:
    given = {"maximize": True, "sampler": "tpe", "seed": 7, **more}
    return search.propose(SPACE, number=number, history=history, **given)


def complete(search: Search, count: int, **more: Any) -> list[Seen]:
    """A history in which a large rate is good."""
    history: list[Seen] = []
    for number in range(count):
        chosen = ask(search, number, history, **more)
        assert chosen is not None
        history.append(Seen(number, "complete", chosen, chosen["rate"]))
    return history


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_proposals_lie_in_the_space_and_obey_conditions(search: Search, sampler: str) -> None:
    for seen in complete(search, 25, sampler=sampler):
        chosen = seen.parameters
        assert 0.001 <= chosen["rate"] <= 1.0
        assert isinstance(chosen["depth"], int)
        assert 1 <= chosen["depth"] <= 9
        assert chosen["kind"] in ("a", "b", None)
        assert ("share" in chosen) == (chosen["kind"] == "b")
        if "share" in chosen:
            assert round(chosen["share"], 6) in (0.1, 0.3, 0.5, 0.7, 0.9)


def test_the_same_seed_and_history_give_the_same_proposal(search: Search) -> None:
    assert complete(search, 15) == complete(search, 15)
    assert complete(search, 15) != complete(search, 15, seed=8)


def test_every_state_of_a_trial_can_be_in_the_history(search: Search) -> None:
    history = complete(search, 12)
    history += [
        Seen(12, "failed", history[0].parameters),
        Seen(13, "pruned", history[1].parameters, None, {1: 0.2, 2: 0.1}),
        Seen(14, "running", history[2].parameters, None, {1: 0.3}),
        Seen(15, "running", {}),
    ]
    assert ask(search, 16, history) == ask(search, 16, history)


def test_a_grid_gives_each_point_once_and_then_nothing(search: Search) -> None:
    small = [
        Dimension("depth", "int", 1, 3),
        Dimension("kind", "categorical", choices=("a", "b")),
        Dimension("share", "float", 0.1, 0.3, step=0.1, when=(Condition("kind", ("b",)),)),
    ]
    size = grid_size(small)
    assert size == 3 * (1 + 3)
    points = [
        search.propose(small, maximize=True, sampler="grid", seed=3, number=n, history=())
        for n in range(size)
    ]
    assert len({tuple(sorted(p.items())) for p in points if p}) == size
    assert {p["share"] for p in points if p and "share" in p} == {0.1, 0.2, 0.3}
    assert search.propose(small, maximize=True, sampler="grid", seed=3, number=size, history=()) is None
    assert grid_points(small, 3) != grid_points(small, 4)
    assert grid_size(SPACE) is None


def peers(count: int, *, steps: int = 9, state: str = "complete") -> list[Seen]:
    """Trials of value 0.5 + n/100 at every step."""
    return [
        Seen(n, state, {}, 0.5 + n / 100, dict.fromkeys(range(1, steps + 1), 0.5 + n / 100))
        for n in range(count)
    ]


def prune(
    search: Search, pruner: str, intermediate: dict[int, float], among: list[Seen], **more: Any
) -> bool:
    given = {"maximize": True, "first": 2, **more}
    return search.should_prune(pruner, intermediate=intermediate, peers=among, **given)


def test_the_median_pruner_ends_what_is_worse_than_half_of_the_others(search: Search) -> None:
    assert prune(search, "median", {1: 0.1, 2: 0.1}, peers(6))
    assert not prune(search, "median", {1: 0.1, 2: 0.9}, peers(6))
    assert not prune(search, "median", {1: 0.9, 2: 0.1}, peers(6)), "its best so far counts"
    assert not prune(search, "median", {1: 0.1}, peers(6)), "before the first judged step"
    assert not prune(search, "median", {1: 0.1, 2: 0.1}, peers(4)), "too few complete ones"
    assert not prune(search, "median", {1: 0.1, 2: 0.1}, peers(6, steps=1)), "nobody was at this step"
    assert prune(search, "median", {1: 0.9, 2: 0.9}, peers(6), maximize=False)


def test_halving_lets_the_best_third_go_on(search: Search) -> None:
    others = peers(8)
    assert prune(search, "halving", {2: 0.51}, others)
    assert not prune(search, "halving", {2: 0.9}, others)
    assert not prune(search, "halving", {1: 0.1}, others), "below the first rung"
    assert not prune(search, "halving", {2: 0.9, 3: 0.1}, others), "between two rungs nobody is judged"
    assert prune(search, "halving", {2: 0.9, 6: 0.1}, others)
    assert not prune(search, "halving", {2: 0.1}, []), "the first one always goes on"
    assert not prune(search, "none", {2: 0.0}, others)


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_a_pruner_needs_no_more_than_the_needed_steps(search: Search, pruner: str) -> None:
    for step in range(1, 10):
        few = [
            Seen(
                p.number,
                p.state,
                {},
                p.value,
                {s: p.intermediate[s] for s in needed_steps(pruner, p.intermediate, step, 2)},
            )
            for p in peers(8)
        ]
        for value in (0.1, 0.52, 0.56, 0.9):
            mine = dict.fromkeys(range(1, step + 1), value)
            assert prune(search, pruner, mine, few) == prune(search, pruner, mine, peers(8))


def test_tpe_learns_where_values_are_good() -> None:
    line = [Dimension("x", "float", 0.0, 1.0)]
    history: list[Seen] = []
    for number in range(40):
        chosen = OptunaSearch().propose(
            line, maximize=False, sampler="tpe", seed=7, number=number, history=history
        )
        assert chosen is not None
        history.append(Seen(number, "complete", chosen, abs(chosen["x"] - 0.9)))
    early, late = history[:10], history[-10:]
    assert sum(s.value or 0 for s in late) < sum(s.value or 0 for s in early) / 2


def test_a_thousand_trials_of_history_do_not_slow_a_proposal_down() -> None:
    search = OptunaSearch()
    history = [
        Seen(n, "complete", {"rate": 0.001 + n / 1001, "depth": 1 + n % 9, "kind": "a"}, n / 1000)
        for n in range(1000)
    ]
    ask(search, 0)
    begun = time.process_time()
    ask(search, 1000, history)
    assert time.process_time() - begun < 2, "0.1 s on a quiet machine; ten times that would be another design"
