"""Experiments and runs. What a run logged lives in MLflow's tables; here is what MLflow does not know."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q

from apps.accounts.models import ProjectObject
from apps.experiments.states import InputFormat, RunSource
from apps.jobs.models import Job
from apps.jobs.states import CANCELLABLE, LIVE, TERMINAL, JobState
from foundation.models import TrashQuerySet

EXPERIMENT_NAME_LENGTH = 256
RUN_NAME_LENGTH = 250


class Experiment(ProjectObject):
    """A named group of runs; the mirror of one of MLflow's experiments, whose names may be any text.

    MLflow's table decides about name and trash, since stock clients change both: mirror.mirror_experiments.
    """

    mlflow_id = models.CharField(max_length=12)
    name = models.CharField(max_length=EXPERIMENT_NAME_LENGTH)
    description = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["mlflow_id"], name="experiment_mirrors_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "name"], name="experiment_by_name"),
        ]

    def __str__(self) -> str:
        return self.name


class RunQuerySet(TrashQuerySet):
    """Query verbs of runs."""

    def with_relations(self) -> Self:
        """With everything that a table row or an API answer names."""
        return self.select_related(
            "project",
            "experiment",
            "job",
            "created_by",
            "dataset_version__dataset",
            "dataset_version__project",
            "parent",
        )

    def in_state(self, state: str) -> Self:
        """Runs in one of the states of jobs."""
        return self.filter(Q(job__state=state) | Q(job__isnull=True, client_state=state))

    def live(self) -> Self:
        """Runs that are waiting or working."""
        return self.filter(Q(job__state__in=LIVE) | Q(job__isnull=True, client_state__in=LIVE))


class Run(ProjectObject):
    """One training; the same id names it in MLflow (there as 32 hex digits: `hex`).

    The state of a run with a job is the job's, never a copy. Only the runs of stock clients and the own ones of
    studies have a state of their own, `client_state`. `parameters` are the validated ones of the algorithm, filled up by the training;
    `model` and `details` are what the training answered (see sandbox.train). Where the code is a file of
    somebody's own, `code_name` is its name and `code_digest` its SHA-256; `inputs` are then its channels, of
    which `dataset_version` is the one that it trains on. `code_source` says where an archive or a git
    repository came from, `environment` is the digest of its packages ("" = the studio's own), `rules` holds the
    rules that watch its metrics and what they found.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="runs")
    job = models.OneToOneField(Job, on_delete=models.PROTECT, null=True, blank=True, related_name="run")
    parent = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="children"
    )
    name = models.CharField(max_length=RUN_NAME_LENGTH)
    description = models.TextField(blank=True, default="")
    source = models.CharField(max_length=12, choices=RunSource, default=RunSource.ATELIER)
    client_state = models.CharField(max_length=16, choices=JobState, blank=True, default="")

    dataset_version = models.ForeignKey(
        "datasets.DatasetVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="runs"
    )
    target = models.CharField(max_length=255, blank=True, default="")
    task = models.CharField(max_length=20, blank=True, default="")
    algorithm = models.CharField(max_length=40, blank=True, default="")
    parameters: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    features: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)
    seed = models.BigIntegerField(null=True, blank=True)
    test_size = models.FloatField(null=True, blank=True)
    folds = models.SmallIntegerField(null=True, blank=True)
    code_name = models.CharField(max_length=100, blank=True, default="")
    code_digest = models.CharField(max_length=64, blank=True, default="")
    code_source: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    environment = models.CharField(max_length=64, blank=True, default="")
    rules: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)

    primary_metric = models.CharField(max_length=80, blank=True, default="")
    model: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)
    details: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    client_started_at = models.DateTimeField(null=True, blank=True)
    client_finished_at = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(job__isnull=False) | ~Q(client_state=""), name="run_has_a_state"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at", "-id"], name="runs_by_project"),
            models.Index(fields=["experiment", "-created_at"], name="runs_by_experiment"),
            models.Index(fields=["dataset_version", "-created_at"], name="runs_by_dataset_version"),
            # All that the search over everything compares: it reads the index and not the wide rows.
            models.Index(
                fields=["project", "-created_at", "-id"],
                include=["name", "algorithm"],
                condition=Q(deleted_at__isnull=True),
                name="runs_to_search",
            ),
            # Runs whose rules still watch: the few rows that a chore asks for every two seconds.
            models.Index(fields=["created_at"], condition=Q(rules__open=True), name="runs_with_rules"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.hex[:8]})"

    @property
    def hex(self) -> str:
        """The id as MLflow, the API and the pages write it: 32 hex digits."""
        return self.id.hex

    @property
    def state(self) -> str:
        """One of the states of jobs."""
        return str(self.job.state if self.job else self.client_state)

    @property
    def reason(self) -> str:
        """Why it ended as it did, as a sentence; empty for success."""
        return self.job.reason if self.job and self.state != JobState.SUCCEEDED else ""

    @property
    def started_at(self) -> Any:
        """When work began, or None."""
        return self.job.started_at if self.job else self.client_started_at

    @property
    def finished_at(self) -> Any:
        """When it was over, or None."""
        return self.job.finished_at if self.job else self.client_finished_at

    @property
    def is_terminal(self) -> bool:
        """Whether its state can no longer change by itself."""
        return self.state in TERMINAL

    @property
    def is_cancellable(self) -> bool:
        """Whether asking it to stop makes sense; a client's run is then only marked as killed, and a study's own
        is stopped with the study."""
        if self.job is not None:
            return self.job.state in CANCELLABLE
        return self.source != RunSource.STUDY and not self.is_terminal

    @property
    def applied_rules(self) -> list[dict[str, Any]]:
        """The rules that have found something."""
        return [rule for rule in (self.rules or {}).get("rules", []) if rule.get("message")]

    @property
    def dataset_label(self) -> str:
        """The dataset version as people write it, such as churn@2; empty when unknown."""
        version = self.dataset_version
        return f"{version.dataset.name}@{version.number}" if version else ""


class RunInput(models.Model):
    """A channel of a script's run: the dataset version that lies in the folder of that name. header: whether a CSV
    file begins with a line of names."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="inputs")
    channel = models.CharField(max_length=40)
    dataset_version = models.ForeignKey(
        "datasets.DatasetVersion", on_delete=models.PROTECT, related_name="run_inputs"
    )
    format = models.CharField(max_length=8, choices=InputFormat, default=InputFormat.PARQUET)
    header = models.BooleanField(default=True, db_default=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["run", "channel"], name="run_channel_once"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}: {self.dataset_version.label}"
