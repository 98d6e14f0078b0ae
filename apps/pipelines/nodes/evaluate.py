"""evaluate: judge a model on a dataset version, in a sandboxed job; beside it, if asked for, another one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from apps.datasets.access import get_usable_version
from apps.experiments.access import get_visible_run
from apps.jobs.actions import submit
from apps.lineage.states import NodeKind as LineageKind
from apps.pipelines.evaluation import EVALUATE, Judged, judged_run, judged_version
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
)
from apps.pipelines.nodes.finding import find_version
from foundation.errors import Invalid, NotFound

TIMEOUT = 3600


class Evaluate(NodeKind):
    """Both models see the same rows, so that a condition may compare them."""

    name = "evaluate"
    title = "Evaluate"
    help = "Judges a run's model, or a model version, on the rows of a dataset version."
    icon = "chart"
    fields = {
        "run": Field("run", "the run whose model is judged; or name a model."),
        "model": Field(
            "model", 'the version that is judged, "churn/3" or "churn@production"; or name a run.'
        ),
        "dataset": Field("dataset", 'the rows to judge on, "churn" or "churn@2".', required=True),
        "target": Field("string", "the column with the truth; left out, the one it was trained to predict."),
        "against": Field(
            "model", "a version to judge on the same rows; an alias that nothing holds is no fault."
        ),
        "timeout": Field("integer", "seconds the judging may take.", low=1, high=24 * 3600),
    }
    outputs = {
        "metrics": Output("metrics", "the metrics on these rows"),
        "against": Output("metrics", "the other model's metrics on them; null when there is none"),
        "rows": Output("integer", "how many rows had a known target"),
        "dataset": Output("dataset", "the version it was judged on, as churn@2"),
        "seen": Output("boolean", "whether the model was trained on this very version"),
    }

    def faults(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if ("run" in values) == ("model" in values):
            yield "", "An evaluation names either a run or a model."

    def start(self, ctx: NodeContext) -> Step:
        values = ctx.values
        version = get_usable_version(ctx.actor, ctx.project, values["dataset"])
        judged = self._judged(ctx)
        against = self._against(ctx)
        target = values.get("target") or judged.target
        if not target:
            raise Invalid("pipeline.input", f"Nobody knows what {judged.label} predicts: name the target.")
        known = {str(column["name"]) for column in version.schema}
        if target not in known:
            raise Invalid("pipeline.input", f"{version.label} has no column '{target[:80]}' to judge by.")
        job = submit(
            kind=EVALUATE,
            project=ctx.project,
            created_by=ctx.actor.user,
            spec={
                "judged": judged.as_json(),
                "against": against.as_json() if against else None,
                "dataset_version": str(version.pk),
                "target": target,
            },
            title=f"Evaluate {judged.label} on {version.label}",
            subject=("pipeline_run", str(ctx.run.pk)),
            timeout=values.get("timeout") or TIMEOUT,
        )
        return Pending(
            job=job,
            subject=Subject(
                "evaluation",
                str(uuid.UUID(str(job.pk))),
                f"{judged.label} on {version.label}",
                f"/p/{ctx.project.slug}/jobs/{job.pk}",
                reads=(LineageKind.DATASET_VERSION, version.pk),
            ),
        )

    def look(self, ctx: NodeContext) -> Step:
        job = ctx.node.job
        check_ended(job, "The evaluation")
        result = (job.result if job else None) or {}
        primary, metrics = result["primary_metric"], result["metrics"]
        said = f"{primary} {metrics[primary]:.4g} on {result['rows']:,} rows." if primary in metrics else ""
        if result["seen"]:
            said += " The model was trained on this very version, so it knows most of these rows."
        return Done(
            outputs={key: result[key] for key in ("metrics", "against", "rows", "dataset", "seen")},
            said=said.strip(),
        )

    @staticmethod
    def _judged(ctx: NodeContext) -> Judged:
        if ctx.values.get("run"):
            return judged_run(get_visible_run(ctx.actor, ctx.project, ctx.values["run"]))
        return judged_version(find_version(ctx.project, ctx.values["model"]))

    @staticmethod
    def _against(ctx: NodeContext) -> Judged | None:
        reference = ctx.values.get("against")
        if not reference:
            return None
        try:
            return judged_version(find_version(ctx.project, reference))
        except NotFound as error:
            if error.code in ("model.alias_not_found", "model.not_found") and "@" in reference:
                return None
            raise


KIND = Evaluate()
