"""REST: list, fetch, read the log of, and cancel jobs."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api_base import ProjectAPIView
from apps.jobs import log_lines, logs, queries
from apps.jobs.access import get_editable_job, get_visible_job
from apps.jobs.actions import request_cancel
from apps.jobs.models import Job, JobAttempt, JobEvent
from apps.jobs.placement import Needs
from apps.jobs.placement_schema import ResourceNeeds
from apps.jobs.quotas.api import api_root_urlpatterns as limit_urlpatterns
from apps.jobs.samples import Usage, usage_of
from apps.jobs.schedules.api import api_urlpatterns as schedule_urlpatterns
from apps.jobs.states import JobState
from apps.jobs.waiting import why_it_waits
from apps.jobs.workers.api import api_root_urlpatterns as worker_urlpatterns
from foundation.api import api_path
from foundation.errors import Invalid
from foundation.pagination import KeysetPagination, Listing, limit_of


class AttemptSerializer(serializers.ModelSerializer[JobAttempt]):
    """One try at a job and what it used (seconds and bytes)."""

    outcome = serializers.CharField(allow_null=True)

    class Meta:
        model = JobAttempt
        fields = [
            "number",
            "worker",
            "started_at",
            "finished_at",
            "outcome",
            "reason",
            "error_code",
            "exit_code",
            "cpu_seconds",
            "max_rss",
            "wall_seconds",
            "tier",
            "warm",
        ]

    def to_representation(self, instance: JobAttempt) -> dict[str, Any]:
        """An attempt that still runs has no outcome."""
        shown = super().to_representation(instance)
        shown["outcome"] = shown["outcome"] or None
        return shown


class SubjectSerializer(serializers.Serializer[Any]):
    """The object a job is about."""

    kind = serializers.CharField()
    id = serializers.CharField()


class ProgressSerializer(serializers.Serializer[Any]):
    """What the job's code last reported. fraction: 0 to 1, null when the total is unknown."""

    step = serializers.FloatField(allow_null=True)
    total = serializers.FloatField(allow_null=True)
    message = serializers.CharField()
    fraction = serializers.FloatField(allow_null=True)


class JobSerializer(serializers.ModelSerializer[Job]):
    """A job. started_at: the first line of user code, where there is any."""

    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    subject = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField()
    parent_id = serializers.UUIDField(allow_null=True)
    reason = serializers.CharField()
    resources = serializers.SerializerMethodField()
    attempts = AttemptSerializer(many=True)

    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "title",
            "state",
            "subject",
            "created_by",
            "parent_id",
            "queue",
            "priority",
            "resources",
            "minimum_tier",
            "progress",
            "reason",
            "error_code",
            "timeout_seconds",
            "cancel_requested_at",
            "created_at",
            "queued_at",
            "started_at",
            "finished_at",
            "attempts",
        ]

    @extend_schema_field(SubjectSerializer(allow_null=True))
    def get_subject(self, job: Job) -> dict[str, str] | None:
        """The object that the job is about."""
        return {"kind": job.subject_kind, "id": job.subject_id} if job.subject_kind else None

    @extend_schema_field(ResourceNeeds)
    def get_resources(self, job: Job) -> dict[str, Any]:
        """What a worker keeps for it."""
        return Needs.of(job.resources or {}).shown()

    @extend_schema_field(ProgressSerializer)
    def get_progress(self, job: Job) -> dict[str, Any]:
        """How far it is."""
        found = queries.progress_of(job)
        return {
            "step": found.step,
            "total": found.total,
            "message": found.message,
            "fraction": found.fraction,
        }


class JobDetailSerializer(JobSerializer):
    """A job with its result, and what it waits for while it does."""

    result = serializers.JSONField(allow_null=True)
    waits_for = serializers.SerializerMethodField()

    class Meta(JobSerializer.Meta):
        fields = [*JobSerializer.Meta.fields, "waits_for", "result"]

    def get_waits_for(self, job: Job) -> str | None:
        """A sentence; null for a job that does not wait."""
        return why_it_waits(job) if job.state == JobState.QUEUED else None


class LogSerializer(serializers.Serializer[Any]):
    """A piece of a log. next_offset: bytes, to be asked for next; complete: nothing will follow."""

    text = serializers.CharField()
    offset = serializers.IntegerField()
    next_offset = serializers.IntegerField()
    complete = serializers.BooleanField()
    attempt = serializers.IntegerField()


def whole_number(request: Any, name: str, default: int | None) -> int | None:
    """A query parameter as a number. Raises Invalid "request.invalid"."""
    raw = request.query_params.get(name) if hasattr(request, "query_params") else request.GET.get(name)
    if raw is None or raw == "":
        return default
    if not raw.isascii() or not raw.isdigit() or len(raw) > 15:
        raise Invalid("request.invalid", f"{name} is a whole number, 0 or more.", {name: raw[:40]})
    return int(raw)


class JobList(ProjectAPIView):
    """The jobs of a project, newest first."""

    order_fields = ("created_at", "queued_at")
    default_order = ("-created_at",)

    @extend_schema(
        operation_id="jobs_list",
        tags=["jobs"],
        summary="List the jobs of a project",
        parameters=[
            OpenApiParameter("state", str, many=True, enum=JobState.values, description="May be repeated."),
            OpenApiParameter("kind", str, description="As in datasets.ingest."),
            OpenApiParameter("q", str, description="Searches the title."),
        ],
        responses=JobSerializer(many=True),
    )
    def get(self, request: Request, project: str) -> Response:
        """List them."""
        asked = request.query_params
        states = [part for value in asked.getlist("state") for part in value.split(",") if part]
        found = queries.jobs_of(self.project, states=states, kind=asked.get("kind", ""), q=asked.get("q", ""))
        paginator = KeysetPagination()
        page = paginator.paginate_queryset(
            found.prefetch_related(Prefetch("attempts", JobAttempt.objects.defer("samples"))),
            request,
            view=self,
        )
        return paginator.get_paginated_response(JobSerializer(page, many=True).data)


class JobDetail(ProjectAPIView):
    """One job."""

    @extend_schema(
        operation_id="jobs_read", tags=["jobs"], summary="Fetch a job", responses=JobDetailSerializer
    )
    def get(self, request: Request, project: str, job: str) -> Response:
        """Fetch it with its attempts."""
        return Response(JobDetailSerializer(get_visible_job(self.actor, self.project, job)).data)


class JobLogs(ProjectAPIView):
    """The log of a job."""

    @extend_schema(
        operation_id="jobs_logs",
        tags=["jobs"],
        summary="Read a job's log from a byte offset",
        parameters=[
            OpenApiParameter("offset", int, description="Bytes; default 0."),
            OpenApiParameter("attempt", int, description="Default: the latest."),
        ],
        responses=LogSerializer,
    )
    def get(self, request: Request, project: str, job: str) -> Response:
        """Read a piece of it."""
        found = get_visible_job(self.actor, self.project, job)
        chunk = logs.read_log(
            found,
            offset=whole_number(request, "offset", 0) or 0,
            attempt=whole_number(request, "attempt", None),
        )
        return Response(LogSerializer(chunk).data)


class LogHitSerializer(serializers.Serializer[Any]):
    """A line that matches. line: its number, from 1; offset: bytes before it; text: without terminal codes."""

    line = serializers.IntegerField()
    offset = serializers.IntegerField()
    text = serializers.CharField()


class FoundSerializer(serializers.Serializer[Any]):
    """Lines that match. total: in the whole log; next: the request for the lines behind the last one, or null."""

    results = LogHitSerializer(many=True)
    total = serializers.IntegerField()
    attempt = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)


class JobLogSearch(ProjectAPIView):
    """Find lines in the log of a job."""

    @extend_schema(
        operation_id="jobs_logs_search",
        tags=["jobs"],
        summary="Find lines in a job's log",
        parameters=[
            OpenApiParameter("q", str, required=True, description="Part of a line; case is ignored."),
            OpenApiParameter("attempt", int, description="Default: the latest."),
            OpenApiParameter("after", int, description="Only lines behind this number."),
            OpenApiParameter("limit", int, description=f"Default and at most {log_lines.HITS_AT_MOST}."),
        ],
        responses=FoundSerializer,
    )
    def get(self, request: Request, project: str, job: str) -> Response:
        """Find them."""
        found = get_visible_job(self.actor, self.project, job)
        row = logs.attempt_of(found, whole_number(request, "attempt", None))
        result = log_lines.search(
            None if row is None else logs.source_of(found, row),
            request.query_params.get("q", ""),
            after=whole_number(request, "after", 0) or 0,
            most=limit_of(request),
        )
        following = None
        if result.more_behind and result.hits:
            parameters = request.query_params.copy()
            parameters["after"] = str(result.hits[-1].line)
            following = request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")
        answer = {
            "results": result.hits,
            "total": result.total,
            "attempt": row.number if row else 0,
            "next": following,
        }
        return Response(FoundSerializer(answer).data)


class ResourcesSerializer(serializers.Serializer[Any]):
    """What an attempt used over its time. seconds: the end of each interval, since the program began; memory:
    bytes, the most within it; cores: processors in use, the mean."""

    attempt = serializers.IntegerField()
    interval = serializers.FloatField(allow_null=True)
    memory_limit = serializers.IntegerField(allow_null=True)
    seconds = serializers.ListField(child=serializers.FloatField())
    memory = serializers.ListField(child=serializers.IntegerField())
    cores = serializers.ListField(child=serializers.FloatField())


class JobResources(ProjectAPIView):
    """Memory and processor time of an attempt over its time."""

    @extend_schema(
        operation_id="jobs_resources",
        tags=["jobs"],
        summary="Memory and processors of a job over time",
        parameters=[OpenApiParameter("attempt", int, description="Default: the latest.")],
        responses=ResourcesSerializer,
    )
    def get(self, request: Request, project: str, job: str) -> Response:
        """At most 240 samples; none of a job that ran in the worker itself or was over at once."""
        found = get_visible_job(self.actor, self.project, job)
        row = logs.attempt_of(found, whole_number(request, "attempt", None))
        usage = usage_of(row)
        kept = usage or Usage([], [], [], 0.0, None)
        answer = {
            "attempt": row.number if row else 0,
            "interval": kept.interval or None,
            **{name: getattr(kept, name) for name in ("memory_limit", "seconds", "memory", "cores")},
        }
        return Response(ResourcesSerializer(answer).data)


class EventSerializer(serializers.ModelSerializer[JobEvent]):
    """Something that happened to a job. kind: its new state, or a word such as rule_warned; attempt: 0 while nobody
    had taken it."""

    attempt = serializers.IntegerField(source="fence")

    class Meta:
        model = JobEvent
        fields = ["at", "kind", "message", "actor", "attempt", "detail"]


class JobEvents(ProjectAPIView):
    """What happened to a job, oldest first."""

    @extend_schema(
        operation_id="jobs_events",
        tags=["jobs"],
        summary="The timeline of a job",
        responses=EventSerializer(many=True),
    )
    def get(self, request: Request, project: str, job: str) -> Response:
        """List them."""
        found = get_visible_job(self.actor, self.project, job)
        listing = Listing(queries.events_of(found), key=lambda event: f"{event.at.isoformat()} {event.pk}")
        return listing.answer(request, lambda event: EventSerializer(event).data)


class JobCancel(ProjectAPIView):
    """Ask a job to stop."""

    @extend_schema(
        operation_id="jobs_cancel",
        tags=["jobs"],
        summary="Ask a job to stop",
        request=None,
        responses=JobDetailSerializer,
    )
    def post(self, request: Request, project: str, job: str) -> Response:
        """A waiting job is cancelled at once, a running one becomes stopping."""
        found = request_cancel(job=get_editable_job(self.actor, self.project, job), actor=self.actor)
        return Response(JobDetailSerializer(found).data)


_JOB = r"jobs/(?P<job>[^/]+)"
api_urlpatterns = [
    api_path(r"jobs", JobList.as_view(), name="jobs"),
    api_path(rf"{_JOB}/logs/search", JobLogSearch.as_view(), name="job-logs-search"),
    api_path(rf"{_JOB}/resources", JobResources.as_view(), name="job-resources"),
    api_path(rf"{_JOB}/events", JobEvents.as_view(), name="job-events"),
    api_path(rf"{_JOB}/logs", JobLogs.as_view(), name="job-logs"),
    api_path(rf"{_JOB}/cancel", JobCancel.as_view(), name="job-cancel"),
    api_path(_JOB, JobDetail.as_view(), name="job"),
    *schedule_urlpatterns,
]
api_root_urlpatterns = [*worker_urlpatterns, *limit_urlpatterns]
