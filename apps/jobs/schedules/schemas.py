"""What the REST API of schedules reads and writes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.jobs.schedules.models import ScheduleFiring
from apps.jobs.schedules.queries import ScheduleView
from apps.jobs.schedules.states import FiringState
from foundation.clock import iso


class ScheduledSubject(serializers.Serializer[Any]):
    """What a schedule starts; null when it is in the trash."""

    kind = serializers.CharField()
    name = serializers.CharField()
    url = serializers.CharField()


class ScheduleSerializer(serializers.Serializer[Any]):
    """A schedule. reason: why it switched itself off. next_times: RFC 3339 with the offset of its time zone."""

    id = serializers.UUIDField(source="schedule.id")
    subject = serializers.SerializerMethodField()
    cron = serializers.CharField(source="schedule.cron")
    timezone = serializers.CharField(source="schedule.timezone")
    parameters = serializers.JSONField(source="schedule.parameters")
    enabled = serializers.BooleanField(source="schedule.enabled")
    catch_up = serializers.BooleanField(source="schedule.catch_up")
    reason = serializers.CharField(source="schedule.reason")
    acts_as = serializers.CharField(source="schedule.acts_as.username", default=None, allow_null=True)
    created_by = serializers.CharField(source="schedule.created_by.username", default=None, allow_null=True)
    next_due = serializers.DateTimeField(source="schedule.next_due", allow_null=True)
    next_times = serializers.SerializerMethodField()
    last_due = serializers.DateTimeField(source="schedule.last_due", allow_null=True)
    last_state = serializers.ChoiceField(
        source="schedule.last_state", choices=FiringState.choices, default=None, allow_null=True
    )
    created_at = serializers.DateTimeField(source="schedule.created_at")
    updated_at = serializers.DateTimeField(source="schedule.updated_at")
    url = serializers.CharField(source="schedule.get_absolute_url")

    @extend_schema_field(ScheduledSubject(allow_null=True))
    def get_subject(self, view: ScheduleView) -> dict[str, str] | None:
        """What it starts."""
        if view.subject is None:
            return None
        return {"kind": view.noun, "name": view.subject.name, "url": view.subject.url}

    @extend_schema_field(serializers.ListField(child=serializers.DateTimeField()))
    def get_next_times(self, view: ScheduleView) -> list[str]:
        """The next five."""
        return [time.local.isoformat() for time in view.times]


class FiringSerializer(serializers.ModelSerializer[ScheduleFiring]):
    """One due time that came. title and url: what it started."""

    class Meta:
        model = ScheduleFiring
        fields = ["id", "due", "fired_at", "state", "late", "reason", "title", "url"]


class PreviewSerializer(serializers.Serializer[Any]):
    """An expression and its next times."""

    cron = serializers.CharField()
    timezone = serializers.CharField()
    next_times = serializers.SerializerMethodField()

    @extend_schema_field(
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"utc": {"type": "string"}, "local": {"type": "string"}},
            },
        }
    )
    def get_next_times(self, shown: dict[str, Any]) -> list[dict[str, Any]]:
        """The next five, in UTC and on the clock of the zone."""
        return [{"utc": iso(time.moment), "local": time.local.isoformat()} for time in shown["times"]]


class ScheduleChange(serializers.Serializer[Any]):
    """What can be changed of a schedule."""

    cron = serializers.CharField(required=False)
    timezone = serializers.CharField(required=False)
    parameters = serializers.DictField(required=False)
    enabled = serializers.BooleanField(required=False)
    catch_up = serializers.BooleanField(required=False)


class ScheduleCreate(serializers.Serializer[Any]):
    """A new schedule: one of pipeline and monitor (a name), the expression, and what it starts that with."""

    pipeline = serializers.CharField(required=False)
    monitor = serializers.CharField(required=False)
    cron = serializers.CharField()
    timezone = serializers.CharField(required=False, help_text="Default: the project's")
    parameters = serializers.DictField(required=False)
    enabled = serializers.BooleanField(required=False, default=True)
    catch_up = serializers.BooleanField(
        required=False, default=True, help_text="Make up, once, for times at which the studio was not running"
    )
