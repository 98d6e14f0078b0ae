"""Datasets for tests of any app: registered through the real actions and read by the real program, in this
process and without a worker."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from foundation.errors import AtelierError
from foundation.tasks import Context, UserError

CHURN = b"""age,income,city,member,left
34,52000.5,Rome,true,no
51,61000,Oslo,false,no
29,,Rome,true,yes
45,48000,Bern,false,no
38,75000,,true,yes
"""


def stage_bytes(project: Any, data: bytes, filename: str = "table.csv", user: Any = None) -> Any:
    """A received file, as the gateway hands it over."""
    from adapters.storage.staging import stage

    return stage(
        [data],
        filename=filename,
        project_id=project.pk,
        user_id=user.pk if user else None,
        limit=1_000_000_000,
    )


def run_inline(job: Any) -> Any:
    """Run a sandbox job here and now: claim, prepare, main(), collect, finish. Returns the job as it ended."""
    import importlib

    from apps.jobs import attempts
    from apps.jobs.handlers import handler_for
    from apps.jobs.states import Outcome

    claimed = attempts.claim(job_id=job.pk, worker="test", tier=0, lease_seconds=60)
    assert claimed is not None, f"job {job.pk} is {job.state}"
    handler = handler_for(job.kind)
    with tempfile.TemporaryDirectory() as place:
        folder, outputs = Path(place) / "work", Path(place) / "outputs"
        folder.mkdir()
        outputs.mkdir()
        try:
            plan = handler.prepare(claimed)
            module, _, function = plan.program.partition(":")
            main = getattr(importlib.import_module(module), function)
            attempts.mark_running(job_id=claimed.pk, fence=claimed.fence)
            result = main(
                Context(
                    payload=plan.payload,
                    inputs={name: Path(path) for name, path in plan.inputs.items()},
                    folder=folder,
                    outputs=outputs,
                    log=logging.getLogger("test.job"),
                )
            )
            ending = attempts.Ending(
                Outcome.SUCCEEDED, result=handler.collect(claimed, result, outputs), files=outputs
            )
        except (UserError, AtelierError) as error:
            ending = attempts.Ending(Outcome.FAILED, error.message, error.code, detail=error.detail)
        return attempts.finish(job_id=claimed.pk, fence=claimed.fence, ending=ending)


def register(
    people: Any, data: bytes = CHURN, *, name: str = "churn", filename: str = "table.csv", **options: str
) -> Any:
    """A dataset whose first version waits to be read."""
    from apps.datasets.actions import create_dataset

    return create_dataset(
        actor=people.actor("contributor"),
        project=people.project,
        name=name,
        staged=stage_bytes(people.project, data, filename, people.contributor),
        options=options,
    )


def ready_version(
    people: Any, data: bytes = CHURN, *, name: str = "churn", filename: str = "table.csv"
) -> Any:
    """A version that can be used: of a new dataset, or the next one of a known name."""
    from apps.datasets.actions import add_version
    from apps.datasets.models import Dataset

    known = Dataset.objects.alive().filter(project=people.project, name=name).first()
    if known is None:
        version = register(people, data, name=name, filename=filename).versions.get()
    else:
        version = add_version(
            actor=people.actor("contributor"),
            dataset=known,
            staged=stage_bytes(people.project, data, filename, people.contributor),
        )
    run_inline(version.job)
    version.refresh_from_db()
    return version
