"""The coordinator's chore, and the job kind of pipelines: judge a model on the rows of a dataset version."""

from __future__ import annotations

import time
from typing import Any

from apps.datasets.models import DatasetVersion
from apps.jobs.chores import chore
from apps.jobs.handlers import handles
from apps.jobs.models import Job
from apps.pipelines.evaluation import EVALUATE
from apps.registry.tasks import files_below
from foundation.tasks import SandboxPlan

GIB = 1024**3
#: Off-boarding ends what a person started within five seconds.
THOROUGH_SECONDS = 3.0


class _Looks:
    """When this process last looked at every live run, also at those that only wait for a job."""

    last = 0.0


@chore("pipelines.advance", every=0.5)
def advance() -> int:
    """Every live pipeline run in which something can have happened one step further; all of them now and then."""
    from apps.pipelines.coordinator import advance_all

    thorough = time.monotonic() - _Looks.last >= THOROUGH_SECONDS
    if thorough:
        _Looks.last = time.monotonic()
    return advance_all(thorough=thorough)


@handles(EVALUATE, where="sandbox")
class Evaluate:
    """Loads the model, and the one it is compared with, and lets both predict the same rows."""

    def prepare(self, job: Job) -> SandboxPlan:
        """The files of the models and the Parquet parts."""
        version = DatasetVersion.objects.select_related("dataset").get(pk=job.spec["dataset_version"])
        inputs = version.local_parts()
        payload: dict[str, Any] = {
            "target": job.spec["target"],
            "dataset": version.label,
            "dataset_version": str(version.pk),
            "parts": sorted(inputs),
            "against": None,
        }
        for role, letter in (("judged", "j"), ("against", "a")):
            model = job.spec[role]
            if model is None:
                continue
            files, names = files_below(model["prefix"], letter, label=model["label"])
            inputs |= files
            payload[role] = {**model, "files": names}
        return SandboxPlan(
            program="apps.pipelines.sandbox.evaluate:main",
            payload=payload,
            inputs=inputs,
            memory_bytes=6 * GIB,
        )
