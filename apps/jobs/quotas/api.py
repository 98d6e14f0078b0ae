"""REST: what a team may use and uses."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from apps.accounts.api_base import TeamAPIView
from apps.accounts.states import Role
from apps.jobs.quotas.queries import standing_of
from foundation.api import api_path


class LimitShape(serializers.Serializer[Any]):
    """limit: null where there is none."""

    limit = serializers.IntegerField(allow_null=True)
    used = serializers.FloatField()


class TeamLimitsShape(serializers.Serializer[Any]):
    """What a team may use together. cpu_seconds_per_day: since midnight UTC; storage_bytes: as last measured;
    minimum_tier: the weakest isolation that its sandboxed jobs may have."""

    concurrent_jobs = LimitShape()
    cpu_seconds_per_day = LimitShape()
    storage_bytes = LimitShape()
    minimum_tier = serializers.IntegerField()


class TeamLimitsView(TeamAPIView):
    """The limits of a team."""

    roles: ClassVar = {"GET": Role.MEMBER}

    @extend_schema(operation_id="teams_limits", responses=TeamLimitsShape)
    def get(self, request: Any, team: str) -> Response:
        """The studio's staff sets them."""
        found = standing_of(self.team)
        limits = found.limits
        answer = {
            "concurrent_jobs": _line(limits.concurrent_jobs if limits else None, found.jobs),
            "cpu_seconds_per_day": _line(
                limits.cpu_seconds_per_day if limits else None, round(found.cpu_seconds, 1)
            ),
            "storage_bytes": _line(limits.storage_bytes if limits else None, found.stored),
            "minimum_tier": limits.minimum_tier if limits else 0,
        }
        return Response(TeamLimitsShape(answer).data)


def _line(limit: int | None, used: float) -> dict[str, Any]:
    return {"limit": limit, "used": used}


api_root_urlpatterns = [
    api_path(r"teams/(?P<team>[^/]+)/limits", TeamLimitsView.as_view(), name="team-limits"),
]
