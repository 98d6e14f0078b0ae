"""Job kinds of the registry: read a model's description, check a promotion. Both load or parse uploaded
files, so both run in the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apps.jobs.handlers import handles
from apps.jobs.models import Job
from apps.registry.actions import DESCRIBE, put_in_lineage
from apps.registry.models import ModelVersion, Promotion
from apps.registry.promoting import CHECK, fail_checks, finish_checks
from apps.registry.states import VersionState
from foundation.errors import Invalid, NotFound
from foundation.tasks import SandboxPlan

GIB = 1024**3
HELD_OUT = "evaluation/held_out.parquet"
SMALL_FILES = ("MLmodel", "input_example.json", "serving_input_example.json")


def model_files(
    version: ModelVersion, letter: str, only: tuple[str, ...] = ()
) -> tuple[dict[str, str], dict[str, str]]:
    """files_below() of a version."""
    return files_below(version.prefix, letter, only, label=version.label)


def files_below(
    prefix: str, letter: str, only: tuple[str, ...] = (), *, label: str
) -> tuple[dict[str, str], dict[str, str]]:
    """(inputs, names) of a model's folder in the object store: local paths by input name, and where each lies in
    its folder.

    Raises Invalid "registry.no_files" when nothing is left of it.
    """
    from adapters.storage import get_store

    store, folder = get_store(), prefix.rstrip("/") + "/"
    inputs: dict[str, str] = {}
    names: dict[str, str] = {}
    for index, key in enumerate(store.list(folder) if prefix else ()):
        relative = key.removeprefix(folder)
        if only and relative not in only:
            continue
        inputs[f"{letter}{index}"] = str(store.local(key))
        names[f"{letter}{index}"] = relative
    if "MLmodel" not in names.values():
        raise Invalid("registry.no_files", f"The files of {label} are not there (any more).")
    return inputs, names


@handles(DESCRIBE, where="sandbox")
class Describe:
    """Reads the MLmodel file and the input example of a version that a stock client registered."""

    def prepare(self, job: Job) -> SandboxPlan:
        """Only the small files: nothing is loaded."""
        version = ModelVersion.objects.select_related("model").get(pk=job.spec["version"])
        inputs, names = model_files(version, "f", SMALL_FILES)
        return SandboxPlan(
            program="apps.registry.sandbox.describe:main", payload={"files": names}, inputs=inputs
        )

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """The version is ready to be promoted and deployed."""
        version = ModelVersion.objects.select_related("model", "project", "run").get(pk=job.spec["version"])
        version.signature = result["signature"]
        version.example = result["example"]
        version.flavors = result["flavors"]
        version.task = version.task or result["task"]
        version.target = version.target or result["target"]
        version.state = VersionState.READY
        version.reason = ""
        version.save()
        put_in_lineage(version)

    def ended(self, job: Job) -> None:
        """It stays registered, but can be neither promoted nor deployed."""
        ModelVersion.objects.filter(pk=job.spec["version"], state=VersionState.PENDING).update(
            state=VersionState.FAILED, reason=job.reason or f"Reading the model {job.state}."
        )


@handles(CHECK, where="sandbox")
class Check:
    """Loads a candidate, lets it predict its own example, and compares it with the version that holds the
    alias now."""

    def prepare(self, job: Job) -> SandboxPlan:
        """The candidate's files, the holder's, and the rows on which the candidate was judged."""
        promotion = _promotion(job)
        version, holder = promotion.version, promotion.holder
        inputs, names = model_files(version, "c")
        payload: dict[str, Any] = {
            "candidate": {**_facts(version), "files": names},
            "alias": promotion.alias,
            "holder": None,
        }
        if holder is not None:
            more, holder_names = model_files(holder, "h")
            inputs |= more
            payload["holder"] = {**_facts(holder), "files": holder_names}
            payload["same_data"] = (
                version.dataset_version_id is not None
                and version.dataset_version_id == holder.dataset_version_id
            )
            if rows := _judged_rows(version):
                inputs["judged"] = rows
        return SandboxPlan(
            program="apps.registry.sandbox.check:main", payload=payload, inputs=inputs, memory_bytes=6 * GIB
        )

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """Refuse, wait for approval or move the alias, in the transaction that ends the job."""
        finish_checks(promotion=_promotion(job), checks=list(result["checks"]))

    def ended(self, job: Job) -> None:
        """The checks did not run to their end: the alias stays."""
        fail_checks(promotion=_promotion(job), reason=job.reason or f"The checks were {job.state}.")


def _promotion(job: Job) -> Promotion:
    found = Promotion.objects.select_related(
        "version__model__project",
        "version__project",
        "version__run",
        "holder__model",
        "project",
        "created_by",
    ).get(pk=job.spec["promotion"])
    return found


def _facts(version: ModelVersion) -> dict[str, Any]:
    return {
        "label": version.label,
        "task": version.task,
        "target": version.target,
        "metrics": version.metrics,
        "primary_metric": version.primary_metric,
        "dataset": version.dataset_label,
    }


def _judged_rows(version: ModelVersion) -> str:
    """A local path of the Parquet file with the rows on which the candidate's run was judged, or ""."""
    from adapters.storage import get_store
    from adapters.tracking import get_tracking

    if version.run is None:
        return ""
    try:
        return str(get_store().local(get_tracking().artifact_key(version.run.hex, HELD_OUT)))
    except NotFound:
        return ""
