"""What the REST API of pipelines reads and writes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.pipelines.definition import Definition
from apps.pipelines.models import NodeRun, Pipeline, PipelineRun, PipelineVersion
from apps.pipelines.queries import graph_of


class LastRun(serializers.Serializer[Any]):
    """The newest run of a pipeline."""

    number = serializers.IntegerField(source="last_number")
    state = serializers.CharField(source="last_state")
    created_at = serializers.DateTimeField(source="last_at")


class PipelineSerializer(serializers.ModelSerializer[Pipeline]):
    """A pipeline, as `queries.pipelines_of` annotates it. version: the number of its newest definition."""

    version = serializers.IntegerField(source="latest.number", read_only=True)
    runs = serializers.IntegerField(source="n_runs", read_only=True)
    live_runs = serializers.IntegerField(source="n_live", read_only=True)
    last_run = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)
    url = serializers.CharField(source="get_absolute_url", read_only=True)

    class Meta:
        model = Pipeline
        fields = [
            "id", "name", "description", "version", "runs", "live_runs", "last_run", "created_by", "created_at",
            "updated_at", "url",
        ]  # fmt: skip

    def get_last_run(self, pipeline: Any) -> dict[str, Any] | None:
        return dict(LastRun(pipeline).data) if pipeline.last_number else None


class PipelineDetail(PipelineSerializer):
    """With the definition, as POST /pipelines takes it."""

    definition = serializers.JSONField(read_only=True)

    class Meta(PipelineSerializer.Meta):
        fields = [*PipelineSerializer.Meta.fields, "definition"]


class DefinitionBody(serializers.Serializer[Any]):
    """A definition; docs/pipelines.md describes it."""

    name = serializers.CharField()
    description = serializers.CharField(required=False)
    parameters = serializers.JSONField(required=False)
    concurrency = serializers.IntegerField(required=False)
    nodes = serializers.JSONField()


class PipelineChange(serializers.Serializer[Any]):
    """What can be changed. definition: an object, or JSON text (then errors name line and column of the text)."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)
    definition = serializers.JSONField(required=False)


class VersionSerializer(serializers.ModelSerializer[PipelineVersion]):
    """One definition, with how many runs executed it."""

    runs = serializers.IntegerField(source="n_runs", read_only=True)
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)

    class Meta:
        model = PipelineVersion
        fields = ["number", "digest", "runs", "created_by", "created_at"]


class VersionDetail(VersionSerializer):
    """With the definition itself."""

    definition = serializers.JSONField(read_only=True)

    class Meta(VersionSerializer.Meta):
        fields = [*VersionSerializer.Meta.fields, "definition"]


class SubjectShape(serializers.Serializer[Any]):
    """The object that a node made or works on."""

    kind = serializers.CharField(source="subject_kind")
    id = serializers.CharField(source="subject_id")
    title = serializers.CharField(source="subject_title")
    url = serializers.CharField(source="subject_url")


class NodeRunSerializer(serializers.ModelSerializer[NodeRun]):
    """One node of a run. note: what it waits for, or what it found. reused_from: the number of the run."""

    job = serializers.UUIDField(source="job_id", read_only=True)
    subject = serializers.SerializerMethodField()
    reused_from = serializers.IntegerField(
        source="reused_from.pipeline_run.number", default=None, read_only=True
    )

    class Meta:
        model = NodeRun
        fields = [
            "name", "kind", "state", "layer", "attempt", "inputs", "outputs", "reason", "note", "job", "subject",
            "reused_from", "started_at", "finished_at",
        ]  # fmt: skip

    def get_subject(self, node: NodeRun) -> dict[str, Any] | None:
        return dict(SubjectShape(node).data) if node.subject_kind else None


class PipelineRunSerializer(serializers.ModelSerializer[PipelineRun]):
    """One run. rerun_of: the number of the run that it repeats."""

    pipeline = serializers.CharField(source="pipeline.name", read_only=True)
    version = serializers.IntegerField(source="version.number", read_only=True)
    rerun_of = serializers.IntegerField(source="rerun_of.number", default=None, read_only=True)
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)
    url = serializers.CharField(source="get_absolute_url", read_only=True)

    class Meta:
        model = PipelineRun
        fields = [
            "id", "pipeline", "number", "version", "parameters", "state", "reason", "source", "rerun_of",
            "created_by", "created_at", "started_at", "finished_at", "url",
        ]  # fmt: skip


class PipelineRunDetail(PipelineRunSerializer):
    """With a state per node."""

    nodes = NodeRunSerializer(many=True, read_only=True)

    class Meta(PipelineRunSerializer.Meta):
        fields = [*PipelineRunSerializer.Meta.fields, "nodes"]


class RunStart(serializers.Serializer[Any]):
    """Values of parameters; what is left out has its default."""

    parameters = serializers.JSONField(required=False, default=dict)


class RunAgain(serializers.Serializer[Any]):
    """from: "failed" takes over the nodes that succeeded, "start" does everything anew. definition: "same" or
    "latest"."""

    definition = serializers.ChoiceField(choices=["same", "latest"], required=False, default="same")

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's own."""
        choice = serializers.ChoiceField(choices=["failed", "start"], required=False, default="failed")
        return {"from": choice, **super().get_fields()}


class GraphNode(serializers.Serializer[Any]):
    """One box. state, reason, note and url: of a run only."""

    name = serializers.CharField()
    kind = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    needs = serializers.ListField(child=serializers.CharField())
    layer = serializers.IntegerField()
    place = serializers.IntegerField()
    state = serializers.CharField(required=False)
    reason = serializers.CharField(required=False)
    note = serializers.CharField(required=False)
    url = serializers.CharField(required=False)


class GraphEdge(serializers.Serializer[Any]):
    """source has to be done before target begins."""

    source = serializers.CharField()  # type: ignore[assignment]  # an attribute of every field, too
    target = serializers.CharField()


class GraphShape(serializers.Serializer[Any]):
    """A layered graph."""

    layers = serializers.IntegerField()
    nodes = GraphNode(many=True)
    edges = GraphEdge(many=True)


class Validated(serializers.Serializer[Any]):
    """A definition that could be kept."""

    valid = serializers.BooleanField()
    graph = GraphShape()


def validated_json(definition: Definition) -> dict[str, Any]:
    """The answer to a definition that has no fault."""
    return {"valid": True, "graph": graph_of(definition)}


class KindField(serializers.Serializer[Any]):
    """One field of a kind's `with`, or one of its outputs."""

    name = serializers.CharField()
    type = serializers.CharField()
    required = serializers.BooleanField(required=False)  # type: ignore[assignment]  # as above
    help = serializers.CharField()


class KindShape(serializers.Serializer[Any]):
    """One kind of node. inputs: the fields of its `with`. role: the least role that may start it."""

    name = serializers.CharField()
    title = serializers.CharField()
    help = serializers.CharField()
    role = serializers.CharField()
    inputs = KindField(many=True)
    outputs = KindField(many=True)
