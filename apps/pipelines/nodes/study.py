"""study: search the best parameters of an algorithm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apps.experiments import algorithms
from apps.lineage.states import NodeKind as LineageKind
from apps.pipelines.nodes.base import (
    Done,
    Field,
    NodeContext,
    NodeKind,
    Output,
    Pending,
    Step,
    Subject,
    is_literal,
)
from apps.pipelines.nodes.run import PLACEMENT, algorithm_faults, metrics_of
from apps.tuning.actions import create_study, stop_study
from apps.tuning.models import Study
from apps.tuning.settling import best_trial
from apps.tuning.space import parse_space
from apps.tuning.spec import PARALLELISM_AT_MOST, TRIALS_AT_MOST, parse_study
from apps.tuning.states import StudyState, TrialState
from foundation.errors import Conflict, Invalid
from foundation.names import check_name

NAME_LENGTH = 63


class Search(NodeKind):
    """The fields are those of POST /studies. A study that a person stops early counts by its best trial so far."""

    name = "study"
    title = "Study"
    help = "Searches the best parameters of an algorithm with many trials."
    icon = "study"
    fields = {
        "dataset": Field("dataset", 'what to train on, "churn" or "churn@2".', required=True),
        "target": Field("string", "the column to predict.", required=True),
        "algorithm": Field("string", "the name of a built-in algorithm.", required=True),
        "search_space": Field(
            "object", "the searched parameters with their ranges; left out, what the algorithm offers."
        ),
        "parameters": Field("object", "settings that every trial has."),
        "name": Field("string", "the name of the study; left out, made of pipeline, number and node."),
        "description": Field("string", "what it is about."),
        "experiment": Field("string", "the experiment its runs belong to."),
        "task": Field("string", '"classification" or "regression"; left out, the data decides.'),
        "features": Field("list", "the columns to learn from."),
        "test_size": Field("number", "the share of rows that is held out to judge.", low=0.01, high=0.9),
        "folds": Field("integer", "judge by so many folds instead.", low=2, high=20),
        "objectives": Field("list", 'what is optimised: [{"metric": …, "direction": …}].'),
        "sampler": Field("string", "how the next parameters are chosen; auto when left out."),
        "pruner": Field("string", "when an unpromising trial ends early; auto when left out."),
        "n_trials": Field("integer", "how many trials.", low=1, high=TRIALS_AT_MOST),
        "timeout": Field("integer", "seconds in which new trials may begin.", low=1, high=30 * 24 * 3600),
        "trial_timeout": Field("integer", "seconds that one trial may take.", low=1, high=7 * 24 * 3600),
        "parallelism": Field("integer", "trials at a time.", low=1, high=PARALLELISM_AT_MOST),
        "seed": Field("integer", "the seed of the search.", low=0, high=2**31 - 1),
        "max_failures": Field("integer", "failed trials in a row that end it.", low=1, high=1000),
        **PLACEMENT,
    }
    outputs = {
        "study": Output("study", "the name of the study"),
        "best_parameters": Output("object", "the parameters of the best trial, as a run takes them"),
        "best_value": Output("number", "its value of the objective"),
        "best_trial": Output("integer", "its number"),
        "best_run": Output("run", "the id of its run"),
        "metrics": Output("metrics", "everything that run logged"),
        "metric": Output("string", "the objective"),
        "trials": Output("integer", "how many trials were made"),
        "dataset": Output("dataset", "the version it was searched on, as churn@2"),
    }

    def faults(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        found = list(algorithm_faults(values))
        yield from found
        name, space, fixed = values["algorithm"], values.get("search_space"), values.get("parameters") or {}
        if found or not is_literal([name, space]):
            return
        try:
            # The names of the fixed ones count, not their values, which may come from other nodes.
            parse_space(algorithms.get(name), space, dict.fromkeys(fixed), task=None)
        except Invalid as error:
            yield "search_space", error.message
        if "name" in values and is_literal(values["name"]):
            try:
                check_name(values["name"])
            except Invalid as error:
                yield "name", error.message

    def start(self, ctx: NodeContext) -> Step:
        given = {name: value for name, value in ctx.values.items() if value is not None}
        spec = parse_study({"name": _name(ctx), **given}, actor=ctx.actor, project=ctx.project)
        study = create_study(actor=ctx.actor, project=ctx.project, spec=spec)
        return Pending("The first trials are about to begin.", subject=_subject(study))

    def look(self, ctx: NodeContext) -> Step:
        study = _find(ctx)
        if study is None:
            raise Conflict("pipeline.object_gone", "The study is not there any more.")
        made = study.trials.count()
        if not study.is_over:
            return Pending(f"{made} of {study.n_trials} trials have begun.")
        best = best_trial(study)
        if study.state == StudyState.FAILED or best is None:
            raise Invalid("pipeline.study_failed", study.reason or _why_nothing(study))
        early = " It was stopped early." if study.state == StudyState.STOPPED else ""
        return Done(
            outputs={
                "study": study.name,
                "best_parameters": {**study.fixed, **best.parameters},
                "best_value": best.value,
                "best_trial": best.number,
                "best_run": best.run.hex,
                "metrics": metrics_of(best.run),
                "metric": study.metric,
                "trials": made,
                "dataset": study.dataset_label,
            },
            said=f"Trial {best.number} of {made} is the best: {study.metric} {best.value:.4g}.{early}",
        )

    def cancel(self, ctx: NodeContext) -> None:
        """Its trials are cancelled with it."""
        study = _find(ctx)
        if study is not None and not study.is_over:
            stop_study(actor=ctx.actor, study=study, cancel=True)


def _name(ctx: NodeContext) -> str:
    """nightly-7-search, and for another try nightly-7-search-2."""
    ending = f"-{ctx.run.number}-{ctx.node.name}" + (f"-{ctx.node.attempt + 1}" if ctx.node.attempt else "")
    ending = ending[-NAME_LENGTH + 1 :]
    return ctx.run.pipeline.name[: NAME_LENGTH - len(ending)] + ending


def _find(ctx: NodeContext) -> Study | None:
    if not ctx.node.subject_id:
        return None
    return (
        Study.objects.alive()  # type: ignore[no-any-return]  # the base's manager is untyped
        .select_related("project", "experiment", "dataset_version__dataset", "run", "created_by")
        .filter(pk=ctx.node.subject_id)
        .first()
    )


def _why_nothing(study: Study) -> str:
    """Why a study that is over has no best trial, by what its last failed trial said."""
    last = study.trials.filter(state=TrialState.FAILED).order_by("-number").first()
    said = f" The last one: {last.reason}" if last is not None and last.reason else ""
    return f"No trial of {study.name} came to its end.{said}"


def _subject(study: Study) -> Subject:
    return Subject(
        "study", str(study.pk), study.name, study.get_absolute_url(), made=(LineageKind.STUDY, study.pk)
    )


KIND = Search()
