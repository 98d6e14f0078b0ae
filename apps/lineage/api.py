"""REST: the lineage graph around a node."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from apps.accounts.api import ProjectAPIView
from apps.lineage import queries
from foundation.api import api_path
from foundation.errors import Invalid


class LineageView(ProjectAPIView):
    """Where an object came from and where it went."""

    @extend_schema(
        operation_id="lineage",
        parameters=[
            OpenApiParameter(
                "node", str, required=True, description="kind:id or kind:name, as dataset:churn@2"
            ),
            OpenApiParameter("direction", str, enum=["up", "down", "both"], default="both"),
        ],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Any, **kwargs: Any) -> Response:
        node = request.query_params.get("node", "")
        if not node:
            raise Invalid("lineage.node", "Say which node: ?node=kind:id, as dataset:churn@2.")
        start = queries.find_node(self.project, node)
        found = queries.graph(
            self.project, start=start, direction=request.query_params.get("direction", "both")
        )
        return Response(queries.as_json(found))


api_urlpatterns = [api_path("lineage", LineageView.as_view(), name="lineage")]
