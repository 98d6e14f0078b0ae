"""Runs, experiments and artifacts as the REST API shows them."""

from __future__ import annotations

import math
from typing import Any

from apps.environments.queries import environment_of_run
from apps.experiments.models import Experiment, Run
from apps.experiments.queries import ExperimentSummary, RunRow
from apps.experiments.scripts.resuming import checkpoint_of
from foundation.clock import iso


def run_json(row: RunRow, *, full: bool = False) -> dict[str, Any]:
    """One run. full: with the model's input example, the features, the environment and the figures."""
    run = row.run
    job = run.job
    found: dict[str, Any] = {
        "id": run.hex,
        "name": run.name,
        "description": run.description,
        "state": run.state,
        "source": run.source,
        "experiment": {"id": run.experiment.mlflow_id, "name": run.experiment.name},
        "dataset": run.dataset_label or None,
        "target": run.target or None,
        "task": run.task or None,
        "algorithm": run.algorithm or None,
        "code": _code_json(run) if run.code_digest else None,
        "parameters": dict(row.parameters),
        "features": run.features,
        "seed": run.seed,
        "test_size": run.test_size,
        "folds": run.folds,
        "metrics": {k: v if math.isfinite(v) else None for k, v in sorted(row.metrics.items())},
        "primary_metric": run.primary_metric or None,
        "tags": dict(row.tags),
        "model": _model_json(run.model, full=full),
        "job": str(job.pk) if job else None,
        "parent": run.parent.hex if run.parent else None,
        "rules": list((run.rules or {}).get("rules", [])),
        "reason": run.reason,
        "error": {"code": job.error_code, "message": job.reason} if job and job.error_code else None,
        "created_by": run.created_by.username if run.created_by else None,
        "created_at": iso(run.created_at),
        "updated_at": iso(run.updated_at),
        "started_at": _iso(run.started_at),
        "finished_at": _iso(run.finished_at),
        "deleted_at": _iso(run.deleted_at),
    }
    if full:
        found |= {
            "progress": job.progress if job else None,
            "details": run.details,
            "inputs": [{"name": i.name, "digest": i.digest, "context": i.context} for i in row.data.inputs]
            if row.data
            else [],
            "channels": {
                one.channel: {"dataset": one.dataset_version.label, "format": one.format}
                | ({} if one.header else {"header": False})
                for one in run.inputs.select_related("dataset_version__dataset")
            }
            if run.code_digest
            else {},
            "variables": dict(job.spec.get("variables") or {}) if job else {},
            "environment": _environment_json(run),
            "checkpoint": _checkpoint_json(run),
            "resume": (job.spec.get("resume") if job else None),
        }
    return found


def _environment_json(run: Run) -> dict[str, Any] | None:
    """The packages of a script; None for the studio's own."""
    found = environment_of_run(run.job_id) if run.code_digest and run.job_id else None
    return {"name": found.name, "state": found.state, "digest": found.digest or None} if found else None


def _checkpoint_json(run: Run) -> dict[str, Any] | None:
    """What the next attempt, or a run that goes on from this one, would begin with."""
    found = checkpoint_of(run)
    if found is None:
        return None
    return {
        "attempt": found.fence,
        "files": [one["path"] for one in found.files],
        "bytes": found.bytes,
        "saved_at": iso(found.saved_at),
    }


def _code_json(run: Run) -> dict[str, Any]:
    """name and sha256; for an archive or a repository also where it came from."""
    source = {"source": run.code_source} if run.code_source else {}
    return {"name": run.code_name, "sha256": run.code_digest, **source}


def _model_json(model: dict[str, Any] | None, *, full: bool) -> dict[str, Any] | None:
    if not model:
        return None
    shown = ("id", "uri", "name", "signature", "classes")
    return dict(model) if full else {k: model[k] for k in shown if k in model}


def experiment_json(summary: ExperimentSummary) -> dict[str, Any]:
    """One experiment with its numbers of runs."""
    experiment: Experiment = summary.experiment
    return {
        "id": experiment.mlflow_id,
        "name": experiment.name,
        "description": experiment.description,
        "runs": summary.runs,
        "live": summary.live,
        "newest_run_at": _iso(summary.newest),
        "created_at": iso(experiment.created_at),
        "updated_at": iso(experiment.updated_at),
        "deleted_at": _iso(experiment.deleted_at),
    }


def _iso(moment: Any) -> str | None:
    return iso(moment) if moment else None
