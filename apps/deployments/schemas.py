"""Shapes of the REST API of deployments (for requests and OpenAPI), and the dictionaries that fill them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.deployments.inferences import Inference
from apps.deployments.models import Deployment, EventImport, Revision
from apps.deployments.states import DeploymentState, ImportState, RevisionState
from foundation.clock import iso


class RevisionShape(serializers.Serializer[Any]):
    """A revision of a deployment."""

    number = serializers.IntegerField()
    model = serializers.CharField(help_text="As churn/3")
    state = serializers.ChoiceField(choices=RevisionState.choices)
    reason = serializers.CharField()
    job = serializers.UUIDField(allow_null=True, help_text="The job that builds it")
    created_at = serializers.DateTimeField()
    ready_at = serializers.DateTimeField(allow_null=True)


class DeploymentShape(serializers.Serializer[Any]):
    """A deployment."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    model = serializers.CharField(help_text="What was asked for: churn@production or churn/3")
    serves = serializers.CharField(allow_null=True, help_text="The model version that answers now")
    state = serializers.ChoiceField(choices=DeploymentState.choices)
    reason = serializers.CharField()
    url = serializers.CharField(help_text="Address of predictions")
    revision = serializers.IntegerField(allow_null=True, help_text="Number of the revision that answers")
    restarts = serializers.IntegerField()
    job = serializers.UUIDField(allow_null=True, help_text="The job that builds the newest revision")
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class DeploymentCreate(serializers.Serializer[Any]):
    """Deploy a model."""

    name = serializers.CharField()
    model = serializers.CharField(help_text='"churn@production" follows the alias, "churn/3" stays')
    description = serializers.CharField(required=False, allow_blank=True, default="")


class DeploymentChange(serializers.Serializer[Any]):
    """Rename, describe, or change to another model version (blue/green)."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)
    model = serializers.CharField(required=False)


class LabelShape(serializers.Serializer[Any]):
    """The true value of one inference."""

    inference_id = serializers.UUIDField()
    value = serializers.JSONField(help_text="Text, number, true or false")


class LabelsShape(serializers.Serializer[Any]):
    """Labels of inferences."""

    labels = LabelShape(many=True)


class InferenceShape(serializers.Serializer[Any]):
    """A recorded inference."""

    id = serializers.UUIDField()
    time = serializers.DateTimeField()
    origin = serializers.ChoiceField(choices=["predict", "import"])
    revision = serializers.IntegerField()
    model = serializers.CharField()
    features = serializers.DictField()
    prediction = serializers.JSONField()
    probabilities = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    label = serializers.JSONField(allow_null=True)  # type: ignore[assignment]
    latency_ms = serializers.FloatField(allow_null=True)
    request_id = serializers.CharField()


class ImportShape(serializers.Serializer[Any]):
    """An import of past inferences."""

    id = serializers.UUIDField()
    filename = serializers.CharField()
    state = serializers.ChoiceField(choices=ImportState.choices)
    reason = serializers.CharField()
    rows = serializers.IntegerField()
    labelled = serializers.IntegerField()
    start = serializers.DateTimeField(allow_null=True)
    end = serializers.DateTimeField(allow_null=True)
    job = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()


def predict_url(deployment: Deployment) -> str:
    """The public address of predictions."""
    from django.conf import settings

    return f"{settings.CONFIG.public_url.rstrip('/')}{deployment.predict_path}"


def revision_json(revision: Revision) -> dict[str, Any]:
    """See RevisionShape."""
    return {
        "number": revision.number,
        "model": revision.model_label,
        "state": revision.state,
        "reason": revision.reason,
        "job": revision.job_id,
        "created_at": iso(revision.created_at),
        "ready_at": iso(revision.ready_at),
    }


def deployment_json(deployment: Deployment, *, job: Any = None) -> dict[str, Any]:
    """See DeploymentShape. job: id of the job that builds the newest revision."""
    current = deployment.current
    return {
        "id": str(deployment.pk),
        "name": deployment.name,
        "description": deployment.description,
        "model": deployment.model_ref,
        "serves": current.model_label if current else None,
        "state": deployment.state,
        "reason": deployment.reason,
        "url": predict_url(deployment),
        "revision": current.number if current else None,
        "restarts": deployment.restarts,
        "job": job,
        "created_by": deployment.created_by.username if deployment.created_by else None,
        "created_at": iso(deployment.created_at),
        "updated_at": iso(deployment.updated_at),
    }


def inference_json(inference: Inference) -> dict[str, Any]:
    """See InferenceShape."""
    return {
        "id": str(inference.id),
        "time": iso(inference.time),
        "origin": inference.origin,
        "revision": inference.revision,
        "model": inference.model,
        "features": {key: _plain(value) for key, value in inference.features.items()},
        "prediction": inference.prediction,
        "probabilities": inference.probabilities,
        "label": inference.label,
        "latency_ms": inference.latency_ms,
        "request_id": inference.request_id,
    }


def import_json(record: EventImport) -> dict[str, Any]:
    """See ImportShape."""
    return {
        "id": str(record.pk),
        "filename": record.filename,
        "state": record.state,
        "reason": record.reason,
        "rows": record.rows,
        "labelled": record.labelled,
        "start": iso(record.start),
        "end": iso(record.end),
        "job": record.job_id,
        "created_at": iso(record.created_at),
    }


def _plain(value: Any) -> Any:
    return iso(value) if hasattr(value, "astimezone") else value
