"""Writes: start a script's run. MLflow's run, ours with its inputs, the job, audit and lineage, or none of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from adapters.storage import get_store
from adapters.tracking import DatasetInput, get_tracking
from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.environments import uses
from apps.environments.actions import provide
from apps.experiments.mirror import ensure_experiment
from apps.experiments.models import Run, RunInput
from apps.experiments.recording import put_in_lineage
from apps.experiments.rules.spec import kept
from apps.experiments.scripts.kept import code_key
from apps.experiments.scripts.spec import ScriptSpec
from apps.experiments.states import RunSource
from apps.jobs.actions import submit
from apps.lineage import actions as lineage
from apps.lineage.states import EdgeKind, NodeKind
from foundation.ids import uuid7

SCRIPT = "experiments.script"
DIGEST_TAG = "atelier.code.sha256"


@transaction.atomic
def start_script(*, actor: Actor, project: Project, spec: ScriptSpec) -> Run:
    """Accept a script's run.

    Its parameters are written to MLflow when it ends, where the script has not logged them itself: MLflow would
    refuse a script that logs 10.0 where 10 was submitted.
    """
    environment = (
        uses.lock(provide(actor=actor, project=project, request=spec.environment))
        if spec.environment
        else None
    )
    experiment = ensure_experiment(actor=actor, project=project, name=spec.experiment)
    run_id = uuid7()
    file = spec.code.name.rpartition("/")[2]
    name = spec.name or f"{file.removesuffix('.py')[:50]}-{run_id.hex[-4:]}"
    main = spec.main
    get_tracking().create_run(
        project_id=project.pk,
        run_id=run_id.hex,
        experiment_id=experiment.mlflow_id,
        name=name,
        user=actor.label,
        tags={
            **spec.tags,
            **({"mlflow.note.content": spec.description} if spec.description else {}),
            "mlflow.source.name": spec.code.name,
            DIGEST_TAG: spec.code.digest,
            **_git_tags(spec.code.source),
        },
        dataset=[
            DatasetInput(
                name=one.version.dataset.name,
                digest=one.version.digest,
                source=f'{{"dataset": "{one.version.dataset.name}", "version": {one.version.number}}}',
                context=one.channel,
            )
            for one in spec.inputs
        ],
    )
    job = submit(
        kind=SCRIPT,
        project=project,
        created_by=actor.user,
        spec={
            "run": run_id.hex,
            **({"variables": spec.variables} if spec.variables else {}),
            **({"resume": spec.resume} if spec.resume else {}),
            **({"retries": spec.retries} if spec.retries else {}),
        },
        title=f"Run {spec.code.name}" + (f" on {main.version.label}" if main else ""),
        subject=("run", run_id.hex),
        timeout=spec.timeout,
        user_retries=spec.retries,
        placement=spec.placement,
        not_before=uses.not_before(environment),
    )
    if environment is not None:
        uses.bind(job=job, environment=environment)
    run = Run.objects.create(
        id=run_id,
        project=project,
        created_by=actor.user,
        experiment=experiment,
        job=job,
        rules=kept(spec.rules),
        name=name,
        description=spec.description,
        source=RunSource.ATELIER,
        dataset_version=main.version if main else None,
        parameters=spec.parameters,
        code_name=spec.code.name,
        code_digest=spec.code.digest,
        code_source=spec.code.source,
        environment=environment.digest if environment is not None else "",
    )
    RunInput.objects.bulk_create(
        RunInput(
            run=run, channel=one.channel, dataset_version=one.version, format=one.format, header=one.header
        )
        for one in spec.inputs
    )
    record_audit(
        actor=actor,
        project=project,
        action="run.start",
        subject_kind="run",
        subject_id=run.hex,
        subject_title=name,
        detail={
            "experiment": experiment.name,
            "script": spec.code.name,
            "sha256": spec.code.digest,
            **{name: spec.code.source[name] for name in ("url", "commit") if name in spec.code.source},
            "inputs": {one.channel: one.version.label for one in spec.inputs},
        },
    )
    put_in_lineage(run)
    for version in {one.version.pk for one in spec.inputs}:
        lineage.link(
            source=(NodeKind.DATASET_VERSION, version),
            target=(NodeKind.RUN, run.hex),
            kind=EdgeKind.TRAINED_ON,
        )
    # Last, so that little can fail behind it; the same bytes have the same place, so nothing is left half-made.
    get_store().put_bytes(spec.code.data, code_key(project, spec.code.digest, spec.code.source))
    return run


def _git_tags(source: Mapping[str, Any]) -> dict[str, str]:
    """MLflow's own words for where code came from."""
    if source.get("kind") != "git":
        return {}
    return {
        "mlflow.source.git.commit": str(source["commit"]),
        "mlflow.source.git.repoURL": str(source["url"]),
    }
