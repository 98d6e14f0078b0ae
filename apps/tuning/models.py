"""Studies and their trials. A trial is a run; what it logged lives with the run."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import NamedProjectObject
from apps.datasets.models import DatasetVersion
from apps.experiments.models import Experiment, Run
from apps.jobs.placement import read_placement
from apps.tuning.states import LIVE, OVER, Pruner, Sampler, StudyState, TrialState
from foundation.models import Stamped


class Study(NamedProjectObject):
    """The search for the best parameters of one algorithm on one dataset version.

    fixed: parameters that every trial has; search_space: the checked space (space.space_json); objectives:
    [{"metric", "direction": "maximize" or "minimize"}], one. sampler and pruner are the ones at work;
    sampler_reason and pruner_reason say why "auto" chose them and are empty where a person did. timeout: seconds
    in which new trials may begin; trial_timeout: seconds that one may take. placement: where trials may run
    (jobs.placement.Placement.as_json). seed decides the proposals, the split
    and the training. max_failures: so many failed trials one after the other end the study, counted
    from trial number counted_from (where it was last resumed). ending: what a
    stopping study will be, `reason` why. deadline: when the timeout is over, counted from the first trial.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="studies")
    dataset_version = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="studies")
    target = models.CharField(max_length=255)
    task = models.CharField(max_length=20)
    algorithm = models.CharField(max_length=40)
    fixed: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    features: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)
    test_size = models.FloatField(null=True, blank=True)
    folds = models.SmallIntegerField(null=True, blank=True)

    search_space: models.JSONField[Any, Any] = models.JSONField()
    objectives: models.JSONField[Any, Any] = models.JSONField()
    sampler = models.CharField(max_length=16, choices=Sampler)
    sampler_reason = models.TextField(blank=True, default="")
    pruner = models.CharField(max_length=16, choices=Pruner)
    pruner_reason = models.TextField(blank=True, default="")
    n_trials = models.IntegerField()
    timeout = models.IntegerField(null=True, blank=True)
    trial_timeout = models.IntegerField(null=True, blank=True)
    parallelism = models.SmallIntegerField(default=1)
    seed = models.BigIntegerField()
    placement: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    max_failures = models.SmallIntegerField(default=5)
    counted_from = models.IntegerField(default=0)

    state = models.CharField(max_length=10, choices=StudyState, default=StudyState.QUEUED)
    ending = models.CharField(max_length=10, choices=StudyState, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="study")
    final_run = models.ForeignKey(
        Run, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    started_at = models.DateTimeField(null=True, blank=True)
    deadline = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(NamedProjectObject.Meta):
        verbose_name_plural = "studies"
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at", "-id"], name="study_by_project"),
            models.Index(
                fields=["id"],
                name="study_live",
                condition=Q(state__in=[StudyState.QUEUED, StudyState.RUNNING, StudyState.STOPPING]),
            ),
        ]

    @property
    def asked_for(self) -> str:
        """The queue, resources and priority of its trials where they are not the usual, in words."""
        return read_placement(self.placement).words

    def get_absolute_url(self) -> str:
        """The study's page."""
        return reverse("tuning:detail", args=[self.project.slug, self.name])

    @property
    def is_live(self) -> bool:
        """Whether something may still happen by itself."""
        return self.state in LIVE

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end, from which it may be resumed."""
        return self.state in OVER

    @property
    def metric(self) -> str:
        """The name of the objective's metric."""
        return str(self.objectives[0]["metric"])

    @property
    def maximizes(self) -> bool:
        """Whether larger values are better."""
        return bool(self.objectives[0]["direction"] == "maximize")

    @property
    def dataset_label(self) -> str:
        """The dataset version as people write it, such as churn@2."""
        return f"{self.dataset_version.dataset.name}@{self.dataset_version.number}"


class Trial(Stamped):
    """One point of the search space and what came of it. Numbers count up from 0 within the study, as in Optuna.

    parameters: the searched ones; the run has them together with the fixed ones. intermediate: {step: value of the
    objective so far}. told_at: when the result was recorded, exactly once. error_code and reason: of a failed one.
    """

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="trials")
    number = models.IntegerField()
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="trial")
    state = models.CharField(max_length=10, choices=TrialState, default=TrialState.RUNNING)
    parameters: models.JSONField[Any, Any] = models.JSONField()
    value = models.FloatField(null=True, blank=True)
    intermediate: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    error_code = models.CharField(max_length=80, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["study", "number"], name="trial_number_once"),
            models.CheckConstraint(
                condition=Q(state=TrialState.RUNNING, told_at__isnull=True)
                | (~Q(state=TrialState.RUNNING) & Q(told_at__isnull=False)),
                name="trial_told_once",
            ),
            models.CheckConstraint(
                condition=~Q(state=TrialState.COMPLETE) | Q(value__isnull=False),
                name="trial_complete_has_value",
            ),
        ]

    def __str__(self) -> str:
        return f"trial {self.number} of {self.study}"
