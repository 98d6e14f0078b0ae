"""Shapes of the REST API of studies (for requests and OpenAPI), and the dictionaries that fill them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.jobs.placement import read_placement
from apps.jobs.placement_schema import PlacementShape, ResourceNeeds
from apps.tuning.models import Trial
from apps.tuning.states import Pruner, Sampler, StudyState, TrialState
from foundation.clock import iso


class ObjectiveShape(serializers.Serializer[Any]):
    """What is to be made large or small."""

    metric = serializers.CharField(help_text="One that the task logs; by default the one that ranks its runs")
    direction = serializers.ChoiceField(choices=["maximize", "minimize"], required=False)


class DimensionShape(serializers.Serializer[Any]):
    """How one parameter is searched; what is left out is the algorithm's offer."""

    type = serializers.ChoiceField(choices=["float", "int", "categorical"], required=False)
    low = serializers.FloatField(required=False)
    high = serializers.FloatField(required=False)
    log = serializers.BooleanField(required=False)
    step = serializers.FloatField(required=False)
    choices = serializers.ListField(required=False)
    when = serializers.DictField(
        required=False, help_text='Only while another parameter has a value: {"n_layers": {"low": 2}}'
    )


class StudyCreate(PlacementShape):
    """A new study."""

    name = serializers.CharField(max_length=63)
    description = serializers.CharField(required=False, allow_blank=True)
    experiment = serializers.CharField(
        required=False,
        help_text="Of its runs; made when it does not exist; by default one with the name of the study",
    )
    dataset = serializers.CharField(help_text="churn (its latest ready version) or churn@2")
    target = serializers.CharField()
    task = serializers.ChoiceField(choices=["classification", "regression"], required=False)
    features = serializers.ListField(child=serializers.CharField(), required=False)
    test_size = serializers.FloatField(required=False, min_value=0.01, max_value=0.9)
    folds = serializers.IntegerField(required=False, min_value=2, max_value=20)
    algorithm = serializers.CharField()
    parameters = serializers.DictField(required=False, help_text="Fixed for all trials")
    search_space = serializers.DictField(
        child=DimensionShape(), required=False, help_text="By default what the algorithm offers"
    )
    objectives = ObjectiveShape(many=True, required=False)
    sampler = serializers.ChoiceField(choices=["auto", *Sampler.values], required=False)
    pruner = serializers.ChoiceField(choices=["auto", *Pruner.values], required=False)
    n_trials = serializers.IntegerField(required=False, min_value=1, max_value=5000)
    timeout = serializers.IntegerField(required=False, help_text="Seconds in which new trials may begin")
    trial_timeout = serializers.IntegerField(required=False, help_text="Seconds that one trial may take")
    parallelism = serializers.IntegerField(required=False, min_value=1, max_value=64)
    seed = serializers.IntegerField(required=False, min_value=0)
    max_failures = serializers.IntegerField(
        required=False, help_text="So many failed trials one after the other end the study"
    )


class StudyChange(serializers.Serializer[Any]):
    """What can be changed of a study; the numbers also while it works."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)
    n_trials = serializers.IntegerField(required=False)
    parallelism = serializers.IntegerField(required=False)


class StudyStop(serializers.Serializer[Any]):
    """How a study stops."""

    cancel = serializers.BooleanField(
        required=False, default=False, help_text="Also cancel the trials that are at work"
    )


class StudyResume(serializers.Serializer[Any]):
    """How a study goes on."""

    n_trials = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="Trials in all; by default as many as before"
    )


class FinalRun(serializers.Serializer[Any]):
    """What is trained anew."""

    trial = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="By default the best one"
    )
    name = serializers.CharField(required=False, allow_blank=True, default="")


class BestTrialShape(serializers.Serializer[Any]):
    """The best trial so far."""

    number = serializers.IntegerField()
    value = serializers.FloatField()
    parameters = serializers.DictField()
    run = serializers.CharField()


class StudyShape(serializers.Serializer[Any]):
    """A study."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    state = serializers.ChoiceField(choices=StudyState.choices)
    reason = serializers.CharField()
    experiment = serializers.CharField()
    dataset = serializers.CharField()
    target = serializers.CharField()
    task = serializers.CharField()
    features = serializers.ListField(child=serializers.CharField(), allow_null=True)
    test_size = serializers.FloatField(allow_null=True)
    folds = serializers.IntegerField(allow_null=True)
    algorithm = serializers.CharField()
    parameters = serializers.DictField()
    search_space = serializers.DictField(child=DimensionShape())
    objectives = ObjectiveShape(many=True)
    sampler = serializers.ChoiceField(choices=Sampler.choices)
    sampler_reason = serializers.CharField(help_text="Why auto chose it; empty when a person did")
    pruner = serializers.ChoiceField(choices=Pruner.choices)
    pruner_reason = serializers.CharField()
    n_trials = serializers.IntegerField()
    timeout = serializers.IntegerField(allow_null=True)
    trial_timeout = serializers.IntegerField(allow_null=True)
    parallelism = serializers.IntegerField()
    seed = serializers.IntegerField()
    max_failures = serializers.IntegerField()
    queue = serializers.CharField()
    resources = ResourceNeeds()
    priority = serializers.IntegerField()
    n_running = serializers.IntegerField()
    n_complete = serializers.IntegerField()
    n_pruned = serializers.IntegerField()
    n_failed = serializers.IntegerField()
    best_trial = BestTrialShape(allow_null=True)
    run = serializers.CharField(help_text="The run that holds the trials together")
    final_run = serializers.CharField(allow_null=True)
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class TrialShape(serializers.Serializer[Any]):
    """A trial."""

    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=TrialState.choices)
    value = serializers.FloatField(allow_null=True)
    parameters = serializers.DictField()
    intermediate = serializers.DictField(child=serializers.FloatField(), help_text="step: value so far")
    run = serializers.CharField()
    job = serializers.UUIDField(allow_null=True)
    error_code = serializers.CharField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class ImportancesShape(serializers.Serializer[Any]):
    """How much each parameter decided."""

    method = serializers.CharField()
    trials = serializers.IntegerField(help_text="Complete trials that it comes from")
    importances = serializers.DictField(child=serializers.FloatField(), help_text="Shares that add up to 1")


class ReportShape(serializers.Serializer[Any]):
    """A value on the way; without a step the answer is asked for only."""

    step = serializers.IntegerField(required=False)
    value = serializers.FloatField()


class PeerShape(serializers.Serializer[Any]):
    """Another trial, with those of its values that the pruner compares."""

    number = serializers.IntegerField()
    state = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    intermediate = serializers.DictField(child=serializers.FloatField())


class ReportAnswer(serializers.Serializer[Any]):
    """What a trial needs to compare itself."""

    peers = PeerShape(many=True)
    best = serializers.FloatField(allow_null=True)


def study_json(study: Any, best: Trial | None) -> dict[str, Any]:
    """See StudyShape. study: as queries.counted has it."""
    plain = (
        "name", "description", "state", "reason", "target", "task", "features", "test_size", "folds", "algorithm",
        "search_space", "objectives", "sampler", "sampler_reason", "pruner", "pruner_reason", "n_trials", "timeout",
        "trial_timeout", "parallelism", "seed", "max_failures", "n_running", "n_complete", "n_pruned", "n_failed",
    )  # fmt: skip
    return {
        "id": str(study.pk),
        **{name: getattr(study, name) for name in plain},
        **read_placement(study.placement).as_json(),
        "experiment": study.experiment.name,
        "dataset": study.dataset_label,
        "parameters": study.fixed,
        "best_trial": None
        if best is None
        else {
            "number": best.number,
            "value": best.value,
            "parameters": best.parameters,
            "run": best.run_id.hex,
        },
        "run": study.run_id.hex,
        "final_run": study.final_run_id.hex if study.final_run_id else None,
        "created_by": study.created_by.username if study.created_by else None,
        "created_at": iso(study.created_at),
        "updated_at": iso(study.updated_at),
        "started_at": iso(study.started_at),
        "finished_at": iso(study.finished_at),
    }


def trial_json(trial: Trial) -> dict[str, Any]:
    """See TrialShape."""
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "parameters": trial.parameters,
        "intermediate": dict(sorted(trial.intermediate.items(), key=lambda item: int(item[0]))),
        "run": trial.run_id.hex,
        "job": str(trial.run.job_id) if trial.run.job_id else None,
        "error_code": trial.error_code,
        "reason": trial.reason,
        "created_at": iso(trial.created_at),
        "started_at": iso(trial.run.started_at),
        "finished_at": iso(trial.told_at),
    }
