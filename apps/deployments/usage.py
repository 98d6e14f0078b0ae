"""How many bytes recorded inferences keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db.models import Sum

from apps.accounts.usage import BYTES, Gauge, register_meter
from apps.deployments.models import InferenceSegment


def inference_bytes(projects: Sequence[UUID]) -> Mapping[UUID, Mapping[str, float]]:
    """Bytes of the sealed segments of all deployments."""
    segments = InferenceSegment.objects.filter(deployment__project__in=projects).order_by()
    sums = segments.values_list("deployment__project").annotate(total=Sum("bytes"))
    return {project: {"inferences": float(total)} for project, total in sums}


register_meter(inference_bytes, Gauge("inferences", "Inferences", BYTES))
