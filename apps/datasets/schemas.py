"""Shapes of the REST API, for OpenAPI: what is sent and what comes back (presenting.py writes the answers)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from apps.datasets.sandbox.options import OFFERED
from apps.datasets.states import VersionState


class Options(serializers.Serializer[Any]):
    """How the file is laid out, where finding out is not enough."""

    header = serializers.ChoiceField(choices=list(OFFERED["header"]), required=False)
    separator = serializers.ChoiceField(choices=list(OFFERED["separator"]), required=False)
    encoding = serializers.ChoiceField(choices=list(OFFERED["encoding"]), required=False)
    sheet = serializers.CharField(required=False, help_text="Name of a worksheet (Excel).")


@extend_schema_serializer(component_name="DatasetVersionCreate")
class VersionCreate(Options):
    """A file for the next version: CSV, TSV, JSON lines, Parquet or Excel, each also gzipped."""

    file = serializers.FileField()


@extend_schema_serializer(component_name="DatasetCreate")
class DatasetCreate(VersionCreate):
    """A new dataset with its first version."""

    name = serializers.CharField(max_length=63)
    description = serializers.CharField(required=False)


@extend_schema_serializer(component_name="DatasetVersionChange")
class VersionChange(serializers.Serializer[Any]):
    """Describe a version."""

    description = serializers.CharField(required=False, allow_blank=True)


class DatasetChange(serializers.Serializer[Any]):
    """Rename or describe."""

    name = serializers.CharField(max_length=63, required=False)
    description = serializers.CharField(required=False, allow_blank=True)


class Column(serializers.Serializer[Any]):
    """One column of a schema."""

    name = serializers.CharField()
    type = serializers.ChoiceField(
        choices=["integer", "float", "boolean", "string", "date", "datetime", "time"]
    )
    nullable = serializers.BooleanField()


@extend_schema_serializer(component_name="DatasetVersionError")
class VersionError(serializers.Serializer[Any]):
    """Why a version failed."""

    code = serializers.CharField()
    message = serializers.CharField()
    detail = serializers.DictField()


@extend_schema_serializer(component_name="DatasetVersion")
class VersionOut(serializers.Serializer[Any]):
    """A dataset version."""

    id = serializers.UUIDField()
    dataset = serializers.CharField()
    number = serializers.IntegerField()
    description = serializers.CharField()
    state = serializers.ChoiceField(choices=VersionState.choices)
    digest = serializers.CharField(allow_null=True, help_text="Of the content, whatever file it came in.")
    rows = serializers.IntegerField(allow_null=True)
    columns = serializers.IntegerField(allow_null=True)
    bytes = serializers.IntegerField(allow_null=True, help_text="Of the stored Parquet parts.")
    schema = Column(many=True)
    error = VersionError(allow_null=True)
    job = serializers.UUIDField(allow_null=True)
    upload = serializers.DictField(help_text="filename, bytes, digest (SHA-256 of the file as sent).")
    format = serializers.DictField(help_text="How the file was laid out.")
    options = serializers.DictField()
    notes = serializers.ListField(child=serializers.CharField())
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    trashed_at = serializers.DateTimeField(allow_null=True)
    ready_at = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField()


@extend_schema_serializer(component_name="Dataset")
class DatasetOut(serializers.Serializer[Any]):
    """A dataset."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    versions = serializers.IntegerField()
    latest = VersionOut(allow_null=True, help_text="The newest version, whatever its state.")
    ready = serializers.IntegerField(allow_null=True, help_text="Number of the newest version that is ready.")
    job = serializers.UUIDField(allow_null=True, help_text="The job that reads the newest version.")
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    trashed_at = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField()
