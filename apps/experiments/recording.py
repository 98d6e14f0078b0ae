"""How a run appears in the lineage graph and in the audit list."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from apps.accounts.access import Actor
from apps.accounts.audit import audit_row
from apps.accounts.models import AuditEvent
from apps.experiments.models import Run
from apps.experiments.states import RunSource
from apps.lineage import actions as lineage
from apps.lineage.models import Node
from apps.lineage.states import EdgeKind, NodeKind


def put_in_lineage(run: Run) -> None:
    """Make or refresh the run's node, with its edge from the dataset version.

    A study's own run has no node, since the study has one; the data of its trials went into the study.
    """
    if run.source == RunSource.STUDY:
        return
    lineage.put_nodes([run_node(run)])
    trial = run.parent is not None and run.parent.source == RunSource.STUDY
    if run.dataset_version_id is not None and not trial:
        lineage.link(
            source=(NodeKind.DATASET_VERSION, run.dataset_version_id),
            target=(NodeKind.RUN, run.hex),
            kind=EdgeKind.TRAINED_ON,
        )


def run_node(run: Run) -> Node:
    """The run's node in the lineage graph, not yet written."""
    return lineage.node_row(
        project=run.project,
        kind=NodeKind.RUN,
        key=run.hex,
        title=run.name,
        url=reverse("experiments:run", kwargs={"project": run.project.slug, "run": run.hex}),
        state=run.state,
        name=run.hex,
    )


def run_audit(actor: Actor, run: Run, action: str, detail: dict[str, Any] | None = None) -> AuditEvent:
    """The audit row about a run, not yet written."""
    return audit_row(
        actor=actor,
        project=run.project,
        action=action,
        subject_kind="run",
        subject_id=run.hex,
        subject_title=run.name,
        detail=detail or {},
    )
