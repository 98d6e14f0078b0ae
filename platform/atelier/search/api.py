"""REST: the search over everything."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from apps.accounts.access import get_visible_project
from apps.accounts.api import StudioAPIView
from atelier.search.finding import search
from foundation.api import api_path


class HitSerializer(serializers.Serializer[Any]):
    """One thing that was found."""

    kind = serializers.CharField()
    id = serializers.CharField()
    title = serializers.CharField()
    url = serializers.CharField(help_text="Path of its page")
    project = serializers.CharField(help_text="Slug; empty for what lies in none")
    note = serializers.CharField()
    state = serializers.CharField()
    created_at = serializers.DateTimeField(source="at", allow_null=True)


class SearchAnswer(serializers.Serializer[Any]):
    """The best hits of each kind, best first; next is always null: ask for one kind to see more of it."""

    results = HitSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class SearchView(StudioAPIView):
    """Objects of the caller's projects, by words of their names or by ids."""

    @extend_schema(
        operation_id="search",
        parameters=[
            OpenApiParameter("q", str, required=True, description="Words of the name, or (part of) an id"),
            OpenApiParameter("kind", str, description="Only this kind, up to 50 hits"),
            OpenApiParameter("project", str, description="Only in this project (its slug)"),
        ],
        responses=SearchAnswer,
    )
    def get(self, request: Any) -> Response:
        asked = request.query_params
        slug = asked.get("project", "")
        project = get_visible_project(self.actor, slug) if slug else None
        results = search(
            self.actor, asked.get("q", ""), kind=asked.get("kind", ""), project=project, places=False
        )
        hits = [hit for group in results.groups for hit in group.hits]
        return Response({"results": HitSerializer(hits, many=True).data, "next": None})


api_root_urlpatterns = [api_path("search", SearchView.as_view(), name="search")]
