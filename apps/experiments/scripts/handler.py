"""The job that runs a script: prepared in the worker, run in the sandbox, committed under the fence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.storage import get_store
from adapters.tracking import get_tracking
from apps.accounts.access import SYSTEM
from apps.environments import uses
from apps.experiments.models import Run
from apps.experiments.sandbox.script_contract import CHECKPOINTS_NAME
from apps.experiments.scripts.actions import SCRIPT
from apps.experiments.scripts.kept import code_key
from apps.experiments.scripts.resuming import gone, told_checkpoint
from apps.experiments.scripts.spec import DISK_BYTES, check_allowed
from apps.experiments.states import InputFormat
from apps.experiments.tasks import Train, client_environment
from apps.jobs.checkpoints import keeping
from apps.jobs.handlers import handles
from apps.jobs.models import Job, JobCheckpoint
from apps.jobs.states import JobState
from foundation.tasks import SandboxPlan

#: At once. A fork bomb takes memory with every process, so it is stopped long before the machine is full.
PROCESSES = 100
#: CSV is so much larger than Parquet at most that a channel is not refused for it.
CSV_GROWTH = 20


@handles(SCRIPT, where="sandbox")
class RunScript(Train):
    """Runs somebody's own file and keeps what it left."""

    def prepare(self, job: Job) -> SandboxPlan:
        """The code and the parts of every channel as inputs, and the studio's own MLflow address with a token
        that dies with the attempt. The project may have switched scripts off in the meantime."""
        run = Run.objects.with_relations().get(job=job)
        check_allowed(SYSTEM, run.project)
        checkpoint = keeping.checkpoint_of(job)
        if job.fence > 1 and checkpoint is None:
            get_tracking().reset_run(run.hex)
        checkpoint = checkpoint or self._of_another(job)
        environment = uses.environment_of(job)
        interpreter = uses.interpreter_for(job)
        if environment is not None and run.environment != environment.digest:
            Run.objects.filter(pk=run.pk).update(environment=environment.digest)
        variables = dict(job.spec.get("variables") or {})
        channels = list(run.inputs.select_related("dataset_version__dataset"))
        key = code_key(run.project, run.code_digest, run.code_source)
        inputs = {"code": str(get_store().local(key))}
        size = checkpoint.bytes if checkpoint else 0
        places: list[dict[str, str]] = []
        if checkpoint is not None:
            found, places = keeping.as_inputs(checkpoint)
            inputs |= found
        for one in channels:
            parts = one.dataset_version.local_parts()
            inputs |= {f"{one.channel}/{name}": path for name, path in parts.items()}
            growth = CSV_GROWTH if one.format == InputFormat.CSV else 1
            size += growth * sum(Path(path).stat().st_size for path in parts.values())
        return SandboxPlan(
            program="apps.experiments.sandbox.script:main",
            payload={
                "run_id": run.hex,
                "project": run.project.slug,
                "script": run.code_name,
                "packed": bool(run.code_source),
                "root": run.code_source.get("root", ""),
                "parameters": run.parameters,
                "variables": variables,
                "checkpoint": places,
                "checkpoint_told": told_checkpoint(job, checkpoint),
                "interpreter": interpreter,
                "packages": environment.name if environment is not None else "",
                "channels": [
                    {"name": one.channel, "format": one.format, "header": one.header} for one in channels
                ],
            },
            inputs=inputs,
            env=client_environment(job, run.experiment.mlflow_id),
            network=True,
            interpreter=interpreter,
            checkpoint=CHECKPOINTS_NAME,
            disk_bytes=DISK_BYTES + size,
            processes=PROCESSES,
            # Libraries read variables while they are imported, and a warm parent has imported them.
            warm=not variables,
        )

    @staticmethod
    def _of_another(job: Job) -> JobCheckpoint | None:
        """The checkpoint of the run that this one goes on from, when it was asked for."""
        wanted = job.spec.get("resume")
        if not wanted:
            return None
        found = JobCheckpoint.objects.filter(job__run__id=wanted, job__project=job.project_id).first()
        if found is None:
            raise gone(str(wanted))
        return found

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """Keep what the script left; its model counts when MLflow knows it as this run's."""
        run = Run.objects.get(job=job)
        data = get_tracking().runs([run.hex], project_id=run.project_id).get(run.hex)
        told = result.get("model")
        known = {model.id: model for model in (data.models if data else ())}
        if isinstance(told, dict) and told.get("id") in known:
            model = known[str(told["id"])]
            run.model = {**told, "uri": f"models:/{model.id}", "name": model.name}
        run.details = {
            name: result[name]
            for name in ("files", "left_out", "model_files", "environment")
            if name in result
        }
        run.save(update_fields=["model", "details", "updated_at"])
        self.finish(run, JobState.SUCCEEDED)

    @staticmethod
    def finish(run: Run, state: str) -> None:
        """As for every run; parameters that the script has not logged itself are written now."""
        get_tracking().add_parameters(run.hex, run.parameters)
        Train.finish(run, state)
