"""run: train a built-in algorithm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import reverse

from adapters.tracking import get_tracking
from apps.experiments import algorithms
from apps.experiments.actions import start_run
from apps.experiments.models import Run
from apps.experiments.spec import parse_spec
from apps.jobs.placement import PRIORITY_AT_MOST
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
    check_ended,
    is_literal,
)
from foundation.errors import Invalid

#: Where the work of a node may run, as POST /runs takes it.
PLACEMENT = {
    "queue": Field("string", 'the queue whose workers may take it; left out, "cpu".'),
    "resources": Field("object", 'what is kept for it, such as {"cpus": 4, "memory_gb": 16, "gpus": 1}.'),
    "priority": Field(
        "integer",
        "higher goes first among the jobs of the project.",
        low=-PRIORITY_AT_MOST,
        high=PRIORITY_AT_MOST,
    ),
}


class Train(NodeKind):
    """The fields are those of POST /runs; a failed run fails the node with the run's own sentence."""

    name = "run"
    title = "Run"
    help = "Trains a built-in algorithm on a dataset version and tracks it as a run."
    icon = "run"
    fields = {
        "dataset": Field("dataset", 'what to train on, "churn" or "churn@2".', required=True),
        "target": Field("string", "the column to predict.", required=True),
        "algorithm": Field(
            "string", 'the name of a built-in algorithm, such as "random_forest".', required=True
        ),
        "parameters": Field("object", "settings of the algorithm; what is left out has its default."),
        "experiment": Field("string", "the experiment the run belongs to; made when there is none."),
        "task": Field("string", '"classification" or "regression"; left out, the data decides.'),
        "features": Field("list", "the columns to learn from; left out, all that can be used."),
        "test_size": Field("number", "the share of rows that is held out to judge.", low=0.01, high=0.9),
        "folds": Field("integer", "judge by so many folds instead.", low=2, high=20),
        "seed": Field("integer", "the seed of split and training.", low=0, high=2**31 - 1),
        "name": Field("string", "the name of the run."),
        "description": Field("string", "what it is about."),
        "tags": Field("object", "texts to find it by."),
        "timeout": Field("integer", "seconds the training may take.", low=1, high=7 * 24 * 3600),
        **PLACEMENT,
    }
    outputs = {
        "run": Output("run", "the id of the run"),
        "metrics": Output("metrics", "the last value of every metric it logged"),
        "dataset": Output("dataset", "the version it was trained on, as churn@2"),
        "task": Output("string", "classification or regression"),
        "primary_metric": Output("string", "the metric that ranks runs of its task"),
    }

    def faults(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from algorithm_faults(values)

    def start(self, ctx: NodeContext) -> Step:
        spec = parse_spec(
            {name: value for name, value in ctx.values.items() if value is not None},
            actor=ctx.actor,
            project=ctx.project,
        )
        run = start_run(actor=ctx.actor, project=ctx.project, spec=spec)
        return Pending(job=run.job, subject=subject_of(run))

    def look(self, ctx: NodeContext) -> Step:
        check_ended(ctx.node.job, f"The run '{ctx.node.subject_title}'")
        run = Run.objects.with_relations().filter(pk=ctx.node.subject_id).first()
        if run is None:
            raise Invalid("pipeline.object_gone", "The run is not there any more.")
        metrics = metrics_of(run)
        primary = run.primary_metric
        said = f"{run.name}: {primary} {metrics[primary]:.4g}." if primary in metrics else ""
        return Done(
            outputs={
                "run": run.hex,
                "metrics": metrics,
                "dataset": run.dataset_label,
                "task": run.task,
                "primary_metric": primary,
            },
            said=said,
        )


def algorithm_faults(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What can be told about algorithm and parameters before the run: unknown names and values out of range."""
    name, given, task = values.get("algorithm"), values.get("parameters"), values.get("task")
    if not is_literal(name):
        return
    try:
        algorithm = algorithms.get(name)
    except Invalid as error:
        yield "algorithm", error.message
        return
    known_task = str(task) if isinstance(task, str) and task in algorithm.tasks else None
    for key, value in (given or {}).items() if isinstance(given, dict) else ():
        try:
            algorithm.clean({key: value if is_literal(value) else _default(algorithm, key)}, known_task)
        except Invalid as error:
            yield f"parameters.{key}" if "." not in key else "parameters", error.message


def _default(algorithm: algorithms.Algorithm, name: str) -> Any:
    return next((parameter.default for parameter in algorithm.parameters if parameter.name == name), None)


def subject_of(run: Run) -> Subject:
    """The run as the subject of a node."""
    return Subject(
        "run",
        run.hex,
        run.name,
        reverse("experiments:run", kwargs={"project": run.project.slug, "run": run.hex}),
        made=(LineageKind.RUN, run.hex),
    )


def metrics_of(run: Run) -> dict[str, float]:
    """The last finite value of every metric that a run logged."""
    data = get_tracking().runs([run.hex]).get(run.hex)
    return {key: value for key, value in (data.metrics if data else {}).items() if math.isfinite(value)}


KIND = Train()
