"""The shapes of the REST answers, for OpenAPI. The values themselves come from presenting.py."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.experiments.rules.states import Action, RuleKind, RuleState
from apps.jobs.placement_schema import PlacementShape


class SearchRange(serializers.Serializer[Any]):
    """What a study is offered to search; offered: in the space that a new study begins with."""

    type = serializers.ChoiceField(choices=["float", "int", "categorical"])
    low = serializers.FloatField(required=False, allow_null=True)
    high = serializers.FloatField(required=False, allow_null=True)
    log = serializers.BooleanField(required=False)
    step = serializers.FloatField(required=False, allow_null=True)
    choices = serializers.ListField(required=False)
    offered = serializers.BooleanField()


class Parameter(serializers.Serializer[Any]):
    """One parameter of an algorithm."""

    name = serializers.CharField()
    type = serializers.ChoiceField(choices=["float", "int", "categorical", "boolean"])
    default = serializers.JSONField(allow_null=True)
    title = serializers.CharField()
    help = serializers.CharField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    log = serializers.BooleanField()
    choices = serializers.ListField(child=serializers.CharField())
    nullable = serializers.BooleanField()
    advanced = serializers.BooleanField()
    task = serializers.ListField(child=serializers.CharField())
    search = SearchRange()


class Algorithm(serializers.Serializer[Any]):
    """A built-in algorithm."""

    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    task = serializers.ListField(child=serializers.CharField())
    parameters = Parameter(many=True)


class RuleCreate(serializers.Serializer[Any]):
    """A rule that watches the metrics of a run; which fields belong to which rule stands in docs/rules.md."""

    rule = serializers.ChoiceField(choices=RuleKind.choices)
    metric = serializers.CharField(required=False, help_text="not_a_number: left out, every metric")
    action = serializers.ChoiceField(choices=Action.choices, required=False, default=Action.WARN)
    steps = serializers.IntegerField(required=False, min_value=1)
    min_change = serializers.FloatField(required=False, min_value=0)
    direction = serializers.ChoiceField(choices=["min", "max"], required=False)
    training = serializers.CharField(required=False, help_text="overfitting: the metric of the training rows")
    gap = serializers.FloatField(required=False, min_value=0, help_text="overfitting: a share, 0.2 is 20 %")


class AppliedRule(RuleCreate):
    """A rule and what it has found."""

    state = serializers.ChoiceField(choices=RuleState.choices)
    message = serializers.CharField(required=False)
    step = serializers.IntegerField(required=False)
    value = serializers.FloatField(required=False, allow_null=True)
    at = serializers.DateTimeField(required=False)


class RunCreate(PlacementShape):
    """What a new run needs."""

    experiment = serializers.CharField(required=False, help_text="Made when it does not exist.")
    dataset = serializers.CharField(help_text="name (its latest ready version) or name@version")
    target = serializers.CharField()
    algorithm = serializers.CharField()
    parameters = serializers.DictField(required=False)
    task = serializers.ChoiceField(choices=["classification", "regression"], required=False)
    features = serializers.ListField(child=serializers.CharField(), required=False)
    test_size = serializers.FloatField(required=False, min_value=0.01, max_value=0.9)
    folds = serializers.IntegerField(required=False, min_value=2, max_value=20)
    seed = serializers.IntegerField(required=False, min_value=0)
    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False)
    tags = serializers.DictField(required=False)
    timeout = serializers.IntegerField(required=False, help_text="Seconds")
    rules = RuleCreate(many=True, required=False)


class ScriptCreate(serializers.Serializer[Any]):
    """A run of a script of one's own, as a form."""

    spec = serializers.CharField(
        help_text='JSON: {"experiment"?, "entry_point"?, "inputs": {channel: "name@2" or {"dataset", "format"}}, '
        '"parameters"?, "variables"?, "git"? {"url", "commit"?, "folder"?, "token"?}, "code_of"? (a run), '
        '"environment"? (a name, or {"requirements"}), "timeout"? (seconds), "retries"?, "name"?, "description"?, "tags"?}'
    )
    code = serializers.FileField(
        required=False, help_text="One Python file of 1 MB, or a .zip or .tar.gz of 50 MB at most"
    )


class RunChange(serializers.Serializer[Any]):
    """What can be changed of a run; a tag of null is removed."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)
    tags = serializers.DictField(required=False)


class ExperimentRef(serializers.Serializer[Any]):
    """An experiment in a run."""

    id = serializers.CharField()
    name = serializers.CharField()


class Run(serializers.Serializer[Any]):
    """A run."""

    id = serializers.CharField(help_text="32 hex digits; the MLflow run id")
    name = serializers.CharField()
    description = serializers.CharField()
    state = serializers.CharField()
    source = serializers.ChoiceField(choices=["atelier", "study", "client"])  # type: ignore[assignment]
    experiment = ExperimentRef()
    dataset = serializers.CharField(allow_null=True)
    target = serializers.CharField(allow_null=True)
    task = serializers.CharField(allow_null=True)
    algorithm = serializers.CharField(allow_null=True)
    code = serializers.DictField(
        allow_null=True, help_text="name and sha256 of code of one's own, its source"
    )
    parameters = serializers.DictField()
    features = serializers.ListField(child=serializers.CharField(), allow_null=True)
    seed = serializers.IntegerField(allow_null=True)
    test_size = serializers.FloatField(allow_null=True)
    folds = serializers.IntegerField(allow_null=True)
    metrics = serializers.DictField(child=serializers.FloatField(allow_null=True))
    primary_metric = serializers.CharField(allow_null=True)
    tags = serializers.DictField(child=serializers.CharField())
    model = serializers.DictField(allow_null=True)
    job = serializers.UUIDField(allow_null=True)
    parent = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    rules = AppliedRule(many=True)
    reason = serializers.CharField()
    error = serializers.DictField(allow_null=True)
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    deleted_at = serializers.DateTimeField(allow_null=True)


class ArtifactEntry(serializers.Serializer[Any]):
    """A file or folder of a run. size: bytes, null for a folder."""

    path = serializers.CharField()
    is_folder = serializers.BooleanField()
    size = serializers.IntegerField(allow_null=True)


class CodeFile(serializers.Serializer[Any]):
    """A file of a run's code. size: bytes."""

    path = serializers.CharField()
    size = serializers.IntegerField()


class ExperimentChange(serializers.Serializer[Any]):
    """What an experiment is called and what it is for."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)


class Experiment(serializers.Serializer[Any]):
    """An experiment with its numbers of runs."""

    id = serializers.CharField(help_text="MLflow's experiment id")
    name = serializers.CharField()
    description = serializers.CharField()
    runs = serializers.IntegerField()
    live = serializers.IntegerField()
    newest_run_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    deleted_at = serializers.DateTimeField(allow_null=True)
