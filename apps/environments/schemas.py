"""What the REST API of environments reads and writes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.environments.models import Environment, EnvironmentFolder


class EnvironmentSerializer(serializers.ModelSerializer[Environment]):
    """An environment, as `queries.environments_of` annotates it. size and on_disk: bytes; on_disk is 0 where its
    packages are installed again when a run needs them."""

    job = serializers.UUIDField(source="job_id", read_only=True, allow_null=True)
    uses = serializers.IntegerField(source="used", read_only=True)
    hosts = serializers.IntegerField(read_only=True)
    on_disk = serializers.IntegerField(read_only=True)
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)
    url = serializers.CharField(source="get_absolute_url", read_only=True)

    class Meta:
        model = Environment
        fields = [
            "id", "name", "description", "state", "requirements", "python", "digest", "size", "on_disk", "hosts",
            "uses", "used_at", "job", "reason", "error_code", "created_by", "created_at", "updated_at", "ready_at",
            "url",
        ]  # fmt: skip


class PackageSerializer(serializers.Serializer[Any]):
    """An installed package."""

    name = serializers.CharField()
    version = serializers.CharField()


class FolderSerializer(serializers.ModelSerializer[EnvironmentFolder]):
    """Where the packages lie."""

    class Meta:
        model = EnvironmentFolder
        fields = ["host", "size", "built_at", "used_at"]


class EnvironmentDetail(EnvironmentSerializer):
    """With its lock, its packages and its folders."""

    packages = PackageSerializer(many=True, read_only=True)
    folders = FolderSerializer(many=True, read_only=True)

    class Meta(EnvironmentSerializer.Meta):
        fields = [*EnvironmentSerializer.Meta.fields, "packages", "lock", "folders"]


class EnvironmentCreate(serializers.Serializer[Any]):
    """A new environment: a name and the lines of a requirements file."""

    name = serializers.CharField()
    requirements = serializers.CharField(trim_whitespace=False)
    description = serializers.CharField(required=False, allow_blank=True, default="")


class EnvironmentChange(serializers.Serializer[Any]):
    """What can be changed of an environment."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)
