"""Optuna behind the Protocol: an in-memory study is built from the rows, asked once, and forgotten.

Replaying 1,000 trials takes some 50 ms, so there is no storage of Optuna's that could lag behind the rows, be
locked or break (docs/decisions/0007).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from adapters.search.grid import grid_points
from adapters.search.protocol import MEDIAN_STARTUP, STARTUP_TRIALS, Dimension, Seen
from adapters.search.rungs import REDUCTION, rung_values

optuna.logging.set_verbosity(optuna.logging.ERROR)

_STATES = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class OptunaSearch:
    """Optuna's samplers and pruners."""

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
        """See Search."""
        if sampler == "grid":
            points = grid_points(space, seed)
            return points[number] if number < len(points) else None
        own = trial_seed(seed, number)
        chooser = (
            optuna.samplers.RandomSampler(seed=own)
            if sampler == "random"
            else _tpe(own, conditional=any(getattr(d, "when", ()) for d in space))
        )
        study = _study(maximize, history if sampler == "tpe" else (), space, sampler=chooser)
        trial = study.ask()
        chosen: dict[str, Any] = {}
        for dimension in space:
            if dimension.active(chosen):
                chosen[dimension.name] = _suggest(trial, dimension)
        return chosen

    def should_prune(
        self,
        pruner: str,
        *,
        maximize: bool,
        first: int,
        intermediate: Mapping[int, float],
        peers: Sequence[Seen],
    ) -> bool:
        """See Search."""
        if pruner == "none" or not intermediate:
            return False
        judge: optuna.pruners.BasePruner = (
            optuna.pruners.MedianPruner(n_startup_trials=MEDIAN_STARTUP, n_warmup_steps=first)
            if pruner == "median"
            else optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=REDUCTION)
        )
        study = _study(maximize, peers, (), pruner=judge, rungs=first if pruner == "halving" else None)
        # Its rungs are those that it had reached before this step.
        before = {step: intermediate[step] for step in sorted(intermediate)[:-1]}
        number = max((peer.number for peer in peers), default=-1) + 1
        study.add_trial(
            _frozen(
                Seen(number, "running", intermediate=intermediate), (), reached=rung_values(before, first)
            )
        )
        return judge.prune(study, study.get_trials(deepcopy=False)[-1])


def trial_seed(seed: int, number: int) -> int:
    """A sampler's seed for one trial: unrelated for neighbours, the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def _tpe(seed: int, *, conditional: bool) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():  # group has been called experimental since 2020
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            group=conditional,
            constant_liar=True,
        )


def _study(
    maximize: bool,
    history: Sequence[Seen],
    space: Sequence[Dimension],
    *,
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
    rungs: int | None = None,
) -> optuna.Study:
    study = optuna.create_study(
        direction="maximize" if maximize else "minimize",
        sampler=sampler or optuna.samplers.RandomSampler(seed=0),
        pruner=pruner or optuna.pruners.NopPruner(),
    )
    known = {dimension.name: _distribution(dimension) for dimension in space}
    trials = [
        _frozen(seen, known, reached=rung_values(seen.intermediate, rungs) if rungs else ())
        for seen in sorted(history, key=lambda seen: seen.number)
    ]
    study.add_trials(trials)
    return study


_MOMENT = datetime(2020, 1, 1)


def _frozen(
    seen: Seen,
    known: Mapping[str, BaseDistribution] | tuple[()],
    *,
    reached: Sequence[float] = (),
) -> FrozenTrial:
    known = dict(known)
    parameters = {name: value for name, value in seen.parameters.items() if name in known}
    state = _STATES[seen.state]
    value = seen.value if state == TrialState.COMPLETE else None
    if state == TrialState.COMPLETE and value is None:
        state = TrialState.FAIL
    return FrozenTrial(
        number=seen.number,
        trial_id=seen.number,
        state=state,
        value=value,
        values=None,
        datetime_start=_MOMENT,
        datetime_complete=_MOMENT if state.is_finished() else None,
        params=parameters,
        distributions={name: known[name] for name in parameters},
        user_attrs={},
        system_attrs={f"completed_rung_{rung}": reached[rung] for rung in range(len(reached))},
        intermediate_values=dict(seen.intermediate),
    )


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.type == "categorical":
        return CategoricalDistribution(list(dimension.choices))
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.type == "int":
        return IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1)
        )
    return FloatDistribution(
        float(dimension.low), float(dimension.high), log=dimension.log, step=dimension.step
    )


def _suggest(trial: optuna.Trial, dimension: Dimension) -> Any:
    if dimension.type == "categorical":
        return trial.suggest_categorical(dimension.name, list(dimension.choices))
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.type == "int":
        return trial.suggest_int(
            dimension.name,
            int(dimension.low),
            int(dimension.high),
            log=dimension.log,
            step=int(dimension.step or 1),
        )
    return trial.suggest_float(
        dimension.name, float(dimension.low), float(dimension.high), log=dimension.log, step=dimension.step
    )
