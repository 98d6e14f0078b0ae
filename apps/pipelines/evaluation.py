"""What the evaluation of a model needs to know of it: a run's model, or a registered version."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from adapters.tracking import get_tracking
from apps.experiments.models import Run
from apps.registry.models import ModelVersion
from foundation.errors import Conflict, Invalid

EVALUATE = "pipelines.evaluate"


@dataclass(frozen=True)
class Judged:
    """A model with the folder of its files. task, target and dataset_version ("" when unknown): of its training."""

    label: str
    prefix: str
    task: str
    target: str
    dataset_version: str

    def as_json(self) -> dict[str, Any]:
        """For the job's spec."""
        return asdict(self)


def judged_version(version: ModelVersion) -> Judged:
    """A registered version."""
    return Judged(
        label=version.label,
        prefix=version.prefix,
        task=version.task,
        target=version.target,
        dataset_version=str(version.dataset_version_id or ""),
    )


def judged_run(run: Run) -> Judged:
    """The last model that a run logged. Raises Conflict while it works, Invalid "run.no_model"."""
    if not run.is_terminal:
        raise Conflict("run.not_finished", f"The run '{run.name}' is still working; wait until it is over.")
    data = get_tracking().runs([run.hex]).get(run.hex)
    models = [model for model in (data.models if data else ()) if model.key]
    if not models:
        raise Invalid("run.no_model", f"The run '{run.name}' has kept no model.", {"field": "run"})
    return Judged(
        label=run.name,
        prefix=models[-1].key,
        task=run.task,
        target=run.target,
        dataset_version=str(run.dataset_version_id or ""),
    )
