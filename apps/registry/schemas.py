"""Shapes of the REST API of the registry, and the dictionaries that fill them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from apps.registry.models import Model, ModelVersion, Promotion
from apps.registry.states import PROTECTED, CheckState, PromotionState, VersionState
from foundation.clock import iso


class ModelShape(serializers.Serializer[Any]):
    """A model."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    aliases = serializers.DictField(child=serializers.IntegerField(), help_text="alias → version")
    latest_version = serializers.IntegerField(allow_null=True)
    versions = serializers.IntegerField(help_text="How many there are")
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    deleted_at = serializers.DateTimeField(allow_null=True)


class ModelCreate(serializers.Serializer[Any]):
    """A new model."""

    name = serializers.CharField()
    description = serializers.CharField(required=False, allow_blank=True, default="")


class ModelChange(serializers.Serializer[Any]):
    """Rename or describe."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)


@extend_schema_serializer(component_name="ModelVersion")
class VersionShape(serializers.Serializer[Any]):
    """A version of a model."""

    id = serializers.UUIDField()
    model = serializers.CharField()
    version = serializers.IntegerField()
    label = serializers.CharField(help_text="As churn/3")  # type: ignore[assignment]
    description = serializers.CharField()
    state = serializers.ChoiceField(choices=VersionState.choices)
    reason = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())
    run = serializers.CharField(allow_null=True, help_text="32 hex digits")
    source = serializers.CharField(help_text="MLflow's URI")  # type: ignore[assignment]
    signature = serializers.DictField()
    example = serializers.ListField()
    task = serializers.CharField(allow_null=True)
    target = serializers.CharField(allow_null=True)
    dataset = serializers.CharField(allow_null=True, help_text="As churn@2")
    metrics = serializers.DictField(child=serializers.FloatField())
    primary_metric = serializers.CharField(allow_null=True)
    job = serializers.UUIDField(allow_null=True, help_text="The job that reads a client's model")
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    deleted_at = serializers.DateTimeField(allow_null=True)


@extend_schema_serializer(component_name="ModelVersionCreate")
class VersionCreate(serializers.Serializer[Any]):
    """Register the model of a run."""

    run = serializers.CharField(help_text="The run's id")
    logged_model = serializers.CharField(
        required=False, allow_null=True, help_text="m-…; the run's last model otherwise"
    )
    description = serializers.CharField(required=False, allow_blank=True, default="")


@extend_schema_serializer(component_name="ModelVersionChange")
class VersionChange(serializers.Serializer[Any]):
    """Describe a version."""

    description = serializers.CharField(required=False, allow_blank=True)


class CheckShape(serializers.Serializer[Any]):
    """One check of a promotion."""

    name = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(choices=CheckState.choices)
    message = serializers.CharField()


class PromotionShape(serializers.Serializer[Any]):
    """A request to move an alias. refused: by a check; rejected: by a person."""

    id = serializers.UUIDField()
    model = serializers.CharField()
    version = serializers.IntegerField()
    to = serializers.ChoiceField(choices=PROTECTED)
    comment = serializers.CharField()
    state = serializers.ChoiceField(choices=PromotionState.choices)
    checks = CheckShape(many=True)
    reason = serializers.CharField()
    holder = serializers.CharField(allow_null=True, help_text="The version compared with, as churn/2")
    job = serializers.UUIDField(allow_null=True)
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    decided_by = serializers.CharField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    decision = serializers.CharField(help_text="What was said with the decision")


class PromotionCreate(serializers.Serializer[Any]):
    """Ask for a promotion."""

    to = serializers.ChoiceField(choices=PROTECTED)
    comment = serializers.CharField(required=False, allow_blank=True, default="")


class Decision(serializers.Serializer[Any]):
    """Approve or reject."""

    comment = serializers.CharField(required=False, allow_blank=True, default="")


def model_json(model: Model) -> dict[str, Any]:
    """A model that queries.models_of has annotated."""
    return {
        "id": str(model.pk),
        "name": model.name,
        "description": model.description,
        "aliases": {alias.name: alias.version.number for alias in model.aliases.all()},
        "latest_version": getattr(model, "newest", None),
        "versions": getattr(model, "n_versions", 0),
        "created_by": model.created_by.username if model.created_by else None,
        "created_at": iso(model.created_at),
        "updated_at": iso(model.updated_at),
        "deleted_at": iso(model.deleted_at),
    }


def version_json(version: ModelVersion) -> dict[str, Any]:
    """One version."""
    return {
        "id": str(version.pk),
        "model": version.model.name,
        "version": version.number,
        "label": version.label,
        "description": version.description,
        "state": version.state,
        "reason": version.reason,
        "aliases": sorted(alias.name for alias in version.aliases.all()),
        "run": version.run.hex if version.run else None,
        "source": version.source,
        "signature": version.signature,
        "example": version.example,
        "task": version.task or None,
        "target": version.target or None,
        "dataset": version.dataset_label or None,
        "metrics": version.metrics,
        "primary_metric": version.primary_metric or None,
        "job": str(version.job_id) if version.job_id else None,
        "created_by": version.created_by.username if version.created_by else None,
        "created_at": iso(version.created_at),
        "updated_at": iso(version.updated_at),
        "deleted_at": iso(version.deleted_at),
    }


def promotion_json(promotion: Promotion) -> dict[str, Any]:
    """One promotion."""
    return {
        "id": str(promotion.pk),
        "model": promotion.version.model.name,
        "version": promotion.version.number,
        "to": promotion.alias,
        "comment": promotion.comment,
        "state": promotion.state,
        "checks": promotion.checks,
        "reason": promotion.reason,
        "holder": promotion.holder.label if promotion.holder else None,
        "job": str(promotion.job_id) if promotion.job_id else None,
        "created_by": promotion.created_by.username if promotion.created_by else None,
        "created_at": iso(promotion.created_at),
        "decided_by": promotion.decided_by.username if promotion.decided_by else None,
        "decided_at": iso(promotion.decided_at),
        "decision": promotion.decision,
    }
