"""The chore that advances studies, and the job kind of their trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from apps.experiments.models import Run
from apps.experiments.tasks import Train
from apps.jobs.chores import chore
from apps.jobs.handlers import handles
from apps.jobs.models import Job
from apps.jobs.states import JobState
from apps.tuning.models import Trial
from apps.tuning.reporting import report_url, trial_payload
from apps.tuning.settling import tell
from apps.tuning.states import TrialState
from foundation.errors import Invalid
from foundation.tasks import SandboxPlan


@chore("tuning.advance", every=0.5)
def advance_studies() -> None:
    """The coordinator. The search engine is imported when there is a first trial to propose."""
    from apps.tuning.coordinator import advance_all

    advance_all()


@handles("tuning.trial", where="sandbox")
class RunTrial(Train):
    """Trains one trial: as a run, with reports on the way that may end it early."""

    def prepare(self, job: Job) -> SandboxPlan:
        """As a training. A later attempt of the trial reports from the start."""
        trial = _trial_of(job)
        if job.fence > 1:
            Trial.objects.filter(pk=trial.pk).update(intermediate={})
        plan = super().prepare(job)
        return replace(
            plan,
            program="apps.tuning.sandbox.trial:main",
            payload={**plan.payload, "trial": trial_payload(trial)},
            env={**plan.env, "ATELIER_REPORT_URL": report_url(trial, plan.env["MLFLOW_TRACKING_URI"])},
        )

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """The run's end and the trial's result, in the one fenced transaction: told exactly once."""
        trial = _trial_of(job)
        if result.get("pruned"):
            self._keep(trial.run, result)
            tell(trial, TrialState.PRUNED, reason=str(result["reason"]))
            self.finish(trial.run, JobState.SUCCEEDED)
            return
        value = result["metrics"].get(trial.study.metric)
        if value is None:
            raise Invalid(
                "study.objective_missing",
                f"The trial ended without its objective {trial.study.metric}.",
                {"metric": trial.study.metric, "logged": sorted(result["metrics"])},
            )
        if result.get("model") is None:
            self._keep(trial.run, result)
            self.finish(trial.run, JobState.SUCCEEDED)
        else:
            super().complete(job, result, files)
        tell(trial, TrialState.COMPLETE, value=float(value))

    def ended(self, job: Job) -> None:
        """Failed, errored, cancelled or out of time."""
        super().ended(job)
        reason = job.reason or f"The job {job.state}."
        tell(_trial_of(job), TrialState.FAILED, code=job.error_code, reason=reason)

    @staticmethod
    def _keep(run: Run, result: dict[str, Any]) -> None:
        """What there is to say of a run without a model."""
        run.task = str(result["task"])
        run.parameters = result["parameters"]
        run.primary_metric = str(result["primary_metric"])
        run.details = {name: result[name] for name in ("features", "rows", "figures", "environment")}
        run.save(update_fields=["task", "parameters", "primary_metric", "details", "updated_at"])


def _trial_of(job: Job) -> Trial:
    found = Trial.objects.select_related("study__project", "run__experiment", "run__project")
    trial: Trial = found.get(run__job=job)
    return trial
