"""REST: the caller's notifications and how they want to hear of what."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from apps.accounts.access import require_user
from apps.accounts.api import StudioAPIView, paged
from apps.inbox import actions, queries
from apps.inbox.models import Notification
from apps.inbox.states import Channel, Kind
from foundation.api import api_path, read_fields
from foundation.errors import Invalid


class NotificationSerializer(serializers.ModelSerializer[Notification]):
    """One notification; url is the path of the page it is about."""

    project = serializers.CharField(source="project.slug", default=None)

    class Meta:
        model = Notification
        fields = ["id", "kind", "sentence", "detail", "state", "project", "url", "created_at", "read_at"]


class MarkRequest(serializers.Serializer[Any]):
    """Either some, or all."""

    ids = serializers.ListField(child=serializers.UUIDField(), required=False)
    all = serializers.BooleanField(required=False)


class MarkAnswer(serializers.Serializer[Any]):
    """How many have changed."""

    changed = serializers.IntegerField()


class NotificationsView(StudioAPIView):
    """What the caller was told, newest first."""

    order_fields = ("created_at",)

    @extend_schema(
        operation_id="notifications_list",
        parameters=[
            OpenApiParameter("unread", str, enum=["true"], description="Only unread ones"),
            OpenApiParameter("kind", str, enum=Kind.values),
            OpenApiParameter("project", str, description="A project's slug"),
            OpenApiParameter("q", str, description="Part of the sentence"),
        ],
        responses=NotificationSerializer(many=True),
    )
    def get(self, request: Any) -> Response:
        asked = {name: request.query_params.get(name, "") for name in ("unread", "kind", "project", "q")}
        return paged(
            self, queries.inbox(self.actor, **asked).select_related("project"), NotificationSerializer
        )


def _mark(view: StudioAPIView, request: Any, *, read: bool) -> Response:
    data = read_fields(request, ("ids", "all"))
    ids = data.get("ids")
    if data.get("all") is not True and not isinstance(ids, list):
        raise Invalid("notification.ids", 'Say which: {"ids": […]} or {"all": true}.', {"field": "ids"})
    changed = actions.mark(actor=view.actor, read=read, ids=ids if isinstance(ids, list) else None)
    return Response({"changed": changed})


class ReadView(StudioAPIView):
    """Mark notifications as read: {"ids": […]} or {"all": true}."""

    @extend_schema(operation_id="notifications_read", request=MarkRequest, responses=MarkAnswer)
    def post(self, request: Any) -> Response:
        return _mark(self, request, read=True)


class UnreadView(StudioAPIView):
    """Mark notifications as unread again."""

    @extend_schema(operation_id="notifications_unread", request=MarkRequest, responses=MarkAnswer)
    def post(self, request: Any) -> Response:
        return _mark(self, request, read=False)


class ChannelsView(StudioAPIView):
    """How the caller hears of each kind of news: {kind: "email", "inbox" or "off"}."""

    @extend_schema(operation_id="notification_settings", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Any) -> Response:
        return Response({kind.value: channel.value for kind, channel in self._channels().items()})

    @extend_schema(
        operation_id="notification_settings_change",
        request=OpenApiTypes.OBJECT,
        responses={200: OpenApiTypes.OBJECT},
    )
    def patch(self, request: Any) -> Response:
        actions.choose_channels(actor=self.actor, channels=read_fields(request, tuple(Kind.values)))
        return Response({kind.value: channel.value for kind, channel in self._channels().items()})

    def _channels(self) -> dict[Kind, Channel]:
        return queries.channels_of(require_user(self.actor))


_ME = "me/notifications"
api_root_urlpatterns = [
    api_path(_ME, NotificationsView.as_view(), name="notifications"),
    api_path(f"{_ME}/read", ReadView.as_view(), name="read"),
    api_path(f"{_ME}/unread", UnreadView.as_view(), name="unread"),
    api_path(f"{_ME}/settings", ChannelsView.as_view(), name="settings"),
]
