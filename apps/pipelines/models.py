"""Pipelines, the numbered versions of their definitions, their runs, and the nodes of a run."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.accounts.models import NamedProjectObject, Project
from apps.jobs.models import Job
from apps.pipelines.states import CANCELLABLE, LIVE, NODE_TERMINAL, NodeState, PipelineRunState, StartedBy
from foundation.models import Stamped


class Pipeline(NamedProjectObject):
    """A named line of definitions. `latest` is the one that a new run executes."""

    latest = models.ForeignKey(
        "PipelineVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+", editable=False
    )

    class Meta(NamedProjectObject.Meta):
        ordering: ClassVar[list[str]] = ["name"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at"], name="pipeline_by_project"),
        ]

    def get_absolute_url(self) -> str:
        """The pipeline's page."""
        return f"/p/{self.project.slug}/pipelines/{self.name}"

    @property
    def definition(self) -> dict[str, Any]:
        """The latest definition with the pipeline's present name and description, as the API takes it."""
        assert self.latest is not None  # written in the transaction that makes the pipeline
        head = {"name": self.name} | ({"description": self.description} if self.description else {})
        return head | self.latest.definition


class PipelineVersion(Stamped):
    """One immutable definition: what runs of it executed stays readable. Numbers count up from 1.

    source: {parameters, nodes, concurrency} as JSON text in the order it was written in, checked, without name and
    description, which are the pipeline's own and may change. digest: equal for definitions that do the same.
    """

    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    source = models.TextField(default="{}")
    digest = models.CharField(max_length=64)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["pipeline", "number"], name="pipeline_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.pipeline} version {self.number}"

    @property
    def definition(self) -> dict[str, Any]:
        """The definition as it was written, without name and description."""
        found: dict[str, Any] = json.loads(self.source)
        return found


class PipelineRun(Stamped):
    """One execution of one version of a definition. The rows are the truth; the coordinator only advances them.

    parameters: every parameter with its value. via_job: the job whose token started it; what the nodes may do is
    then limited as that job is. ending: what a stopping run will be, `reason` why. faults: how often in a row the
    coordinator stumbled over it (our bug).
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="runs")
    version = models.ForeignKey(PipelineVersion, on_delete=models.PROTECT, related_name="runs")
    number = models.PositiveIntegerField()
    parameters: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    source = models.CharField(max_length=10, choices=StartedBy, default=StartedBy.PERSON)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    via_job = models.UUIDField(null=True, blank=True, editable=False)
    rerun_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="reruns"
    )
    state = models.CharField(max_length=10, choices=PipelineRunState, default=PipelineRunState.QUEUED)
    ending = models.CharField(max_length=10, choices=PipelineRunState, blank=True, default="", editable=False)
    reason = models.TextField(blank=True, default="")
    faults = models.SmallIntegerField(default=0, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["pipeline", "number"], name="pipeline_run_number_once"),
            models.CheckConstraint(
                condition=Q(state__in=PipelineRunState.values), name="pipeline_run_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at"], name="pipeline_runs_by_project"),
            models.Index(
                fields=["created_at"],
                name="pipeline_runs_live",
                condition=Q(state__in=sorted(state.value for state in LIVE)),
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """How people name it: nightly #7."""
        return f"{self.pipeline.name} #{self.number}"

    def get_absolute_url(self) -> str:
        """The page of this run."""
        return f"{self.pipeline.get_absolute_url()}/runs/{self.number}"

    @property
    def is_live(self) -> bool:
        """Whether its state still changes by itself."""
        return self.state in LIVE

    @property
    def is_cancellable(self) -> bool:
        """Whether asking it to stop makes sense."""
        return self.state in CANCELLABLE


class NodeRun(Stamped):
    """One node of a run. position: its place in the definition; layer: its distance from the start.

    inputs: the node's fields with every reference filled in, once it started. outputs: see the node's kind.
    note: what it waits for while it runs, what it found when it succeeded. holds: false for a condition that did
    not hold. attempt: how often it was started. subject_*: the object it made or works on, with the path of its
    page. reused_from: the node whose outputs it took over.
    """

    pipeline_run = models.ForeignKey(PipelineRun, on_delete=models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=63)
    kind = models.CharField(max_length=24)
    position = models.PositiveSmallIntegerField()
    layer = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=NodeState, default=NodeState.WAITING)
    attempt = models.PositiveSmallIntegerField(default=0)
    inputs: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    outputs: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    holds = models.BooleanField(default=True)
    reason = models.TextField(blank=True, default="")
    note = models.TextField(blank=True, default="")
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    subject_kind = models.CharField(max_length=40, blank=True, default="")
    subject_id = models.CharField(max_length=80, blank=True, default="")
    subject_title = models.CharField(max_length=200, blank=True, default="")
    subject_url = models.CharField(max_length=300, blank=True, default="")
    reused_from = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["pipeline_run", "name"], name="node_once_in_run"),
            models.CheckConstraint(condition=Q(state__in=NodeState.values), name="node_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.pipeline_run_id} ({self.state})"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.state in NODE_TERMINAL
