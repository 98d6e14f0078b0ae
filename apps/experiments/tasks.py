"""The job that trains: prepared in the worker, run in the sandbox, committed under the fence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.tracking import get_tracking
from apps.experiments import events
from apps.experiments.actions import TRAIN
from apps.experiments.models import Run
from apps.experiments.rules.watching import watch_rules as watch_rules
from apps.experiments.states import TO_MLFLOW
from apps.jobs.handlers import handles
from apps.jobs.models import Job
from apps.jobs.states import JobState
from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from foundation.errors import Invalid
from foundation.events import publish
from foundation.tasks import SandboxPlan


@handles(TRAIN, where="sandbox")
class Train:
    """Trains a built-in algorithm on a dataset version and logs to the run that was made at submit."""

    def prepare(self, job: Job) -> SandboxPlan:
        """The Parquet parts as inputs, and the studio's own MLflow address with a token that dies with the
        attempt. A later attempt begins with a cleared run."""
        run = Run.objects.with_relations().get(job=job)
        version = run.dataset_version
        if version is None:
            raise Invalid("run.no_dataset", "The run has no dataset version to train on.")
        if job.fence > 1:
            get_tracking().reset_run(run.hex)
        return SandboxPlan(
            program="apps.experiments.sandbox.train:main",
            payload=payload_of(run),
            inputs=version.local_parts(),
            env=client_environment(job, run.experiment.mlflow_id),
            network=True,
        )

    def started(self, job: Job) -> None:
        """The run is at work in MLflow and in the lineage as well."""
        run = Run.objects.get(job=job)
        get_tracking().start_run(run.hex)
        lineage.set_state(kind=NodeKind.RUN, key=run.hex, state=job.state)

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """Keep what the training answered; MLflow's run is finished in the same transaction."""
        run = Run.objects.get(job=job)
        run.task = str(result["task"])
        run.parameters = result["parameters"]
        run.primary_metric = str(result["primary_metric"])
        run.model = result["model"]
        run.details = {name: result[name] for name in ("features", "rows", "figures", "environment")}
        run.save(update_fields=["task", "parameters", "primary_metric", "model", "details", "updated_at"])
        self.finish(run, JobState.SUCCEEDED)

    def ended(self, job: Job) -> None:
        """Failed, errored, cancelled or out of time: MLflow hears it in the same transaction."""
        self.finish(Run.objects.get(job=job), job.state)

    @staticmethod
    def finish(run: Run, state: str) -> None:
        """Tell MLflow, the lineage and the layers above."""
        get_tracking().finish_run(run.hex, TO_MLFLOW[JobState(state)])  # type: ignore[arg-type]
        lineage.set_state(kind=NodeKind.RUN, key=run.hex, state=state)
        publish(events.RunFinished(run_id=run.pk, project_id=run.project_id, state=state))


def payload_of(run: Run) -> dict[str, Any]:
    """What the training program is told of its run."""
    return {
        "run_id": run.hex,
        "target": run.target,
        "task": run.task or None,
        "algorithm": run.algorithm,
        "parameters": run.parameters,
        "features": run.features,
        "seed": run.seed,
        "test_size": run.test_size,
        "folds": run.folds,
    }


def client_environment(job: Job, experiment_id: str) -> dict[str, str]:
    """What the stock MLflow client needs in a child of this job, and nothing that leaves the machine."""
    from apps.jobs.tokens import issue
    from runtime.config import load

    base = load().internal_url
    project = job.project
    assert project is not None
    return {
        "MLFLOW_TRACKING_URI": f"{base}/p/{project.slug}/mlflow",
        "MLFLOW_TRACKING_TOKEN": issue(job),
        "MLFLOW_EXPERIMENT_ID": experiment_id,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "8",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
