"""Where a job may run, in OpenAPI's words."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.jobs.placement import DEFAULT_QUEUE, PRIORITY_AT_MOST


class ResourceNeeds(serializers.Serializer[Any]):
    """What a worker keeps for a job; what is left out it shares with the others."""

    cpus = serializers.FloatField(required=False, min_value=0)
    memory_gb = serializers.FloatField(required=False, min_value=0, help_text="Also the most it may use")
    gpus = serializers.IntegerField(required=False, min_value=0)


class PlacementShape(serializers.Serializer[Any]):
    """The fields that say where work may run, for the shapes of requests."""

    queue = serializers.CharField(
        required=False, help_text=f'Whose workers may take it, by default "{DEFAULT_QUEUE}"'
    )
    resources = ResourceNeeds(required=False)
    priority = serializers.IntegerField(
        required=False,
        min_value=-PRIORITY_AT_MOST,
        max_value=PRIORITY_AT_MOST,
        help_text="Higher goes first among the jobs of the project",
    )
