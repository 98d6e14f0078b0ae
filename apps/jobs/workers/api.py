"""REST: list and fetch workers, let one take nothing new, let it work again. Outside any project."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from apps.accounts.access import require_user
from apps.accounts.api_base import StudioAPIView
from apps.jobs.models import Worker
from apps.jobs.workers import actions
from apps.jobs.workers.access import get_managed_worker, get_visible_worker, sees_all, visible_workers
from apps.jobs.workers.queries import WorkerView, gone, here, matching, views_of, with_state
from apps.jobs.workers.states import WorkerState
from foundation.api import api_path, read_fields
from foundation.pagination import KeysetPagination

GB = 1000**3


class WorkerJobSerializer(serializers.Serializer[Any]):
    """A job that a worker holds, of a project that the caller may see."""

    id = serializers.UUIDField()
    project = serializers.CharField()
    kind = serializers.CharField()
    title = serializers.CharField()


class WorkerResourcesSerializer(serializers.Serializer[Any]):
    """Processors, 10⁹ bytes of memory, graphics processors."""

    cpus = serializers.FloatField(allow_null=True)
    memory_gb = serializers.FloatField(allow_null=True)
    gpus = serializers.IntegerField()


class WorkerSerializer(serializers.Serializer[Any]):
    """A worker. resources: what its jobs may use together; taken: what those that run asked for; tier: how well it
    isolates jobs; other_jobs: running jobs of projects that the caller may not see; trouble: what keeps its jobs
    from reaching the studio, for staff."""

    id = serializers.UUIDField(source="worker.pk")
    name = serializers.CharField(source="worker.name")
    host = serializers.CharField(source="worker.host")
    state = serializers.ChoiceField(choices=WorkerState.choices)
    queues = serializers.ListField(child=serializers.CharField(), source="worker.queues")
    slots = serializers.IntegerField(source="worker.slots")
    running = serializers.IntegerField()
    jobs = serializers.SerializerMethodField()
    other_jobs = serializers.IntegerField(source="hidden")
    resources = serializers.SerializerMethodField()
    taken = serializers.SerializerMethodField()
    tier = serializers.IntegerField(source="worker.tier")
    tier_reasons = serializers.ListField(child=serializers.CharField(), source="reasons")
    draining = serializers.BooleanField(source="worker.draining")
    started_at = serializers.DateTimeField(source="worker.started_at")
    heartbeat_at = serializers.DateTimeField(source="worker.heartbeat_at")
    stopped_at = serializers.DateTimeField(source="worker.stopped_at", allow_null=True)
    trouble = serializers.SerializerMethodField()

    @extend_schema_field(WorkerJobSerializer(many=True))
    def get_jobs(self, view: WorkerView) -> list[dict[str, Any]]:
        """What runs there and the caller may see."""
        return [
            {
                "id": str(job.pk),
                "project": job.project.slug if job.project else "",
                "kind": job.kind,
                "title": job.title,
            }
            for job in view.jobs
        ]

    @extend_schema_field(WorkerResourcesSerializer)
    def get_resources(self, view: WorkerView) -> dict[str, Any]:
        """What it offers."""
        told = view.worker.resources
        memory = told.get("memory_bytes")
        return {
            "cpus": told.get("cpus"),
            "memory_gb": round(memory / GB, 3) if memory else None,
            "gpus": told.get("gpus") or 0,
        }

    @extend_schema_field(WorkerResourcesSerializer)
    def get_taken(self, view: WorkerView) -> dict[str, Any]:
        """What running jobs asked for."""
        taken = view.taken
        return {"cpus": taken.cpus, "memory_gb": round(taken.memory_bytes / GB, 3), "gpus": taken.gpus}

    def get_trouble(self, view: WorkerView) -> str:
        """For staff."""
        return view.trouble if self.context.get("all") else ""


class _WorkerAPIView(StudioAPIView):
    def shown(self, worker: Worker) -> Response:
        """One worker as the caller sees it."""
        row = with_state(Worker.objects.filter(pk=worker.pk)).get()
        return Response(self._serialized(views_of(self.actor, [row]))[0])

    def _serialized(self, views: list[WorkerView]) -> Any:
        return WorkerSerializer(views, many=True, context={"all": sees_all(self.actor)}).data


class WorkerList(_WorkerAPIView):
    """The workers that the caller may see: all for staff, else those that may run the jobs of a project of theirs."""

    order_fields = ("name", "host", "heartbeat_at", "started_at")
    default_order = ("-started_at",)

    @extend_schema(
        operation_id="workers_list",
        tags=["jobs"],
        summary="List the workers",
        parameters=[
            OpenApiParameter("queue", str, description="Only workers that serve this queue."),
            OpenApiParameter("q", str, description="Part of the name."),
            OpenApiParameter(
                "gone",
                str,
                enum=["true"],
                description="Those that have ended, or were silent for 15 minutes, in the last seven days.",
            ),
        ],
        responses=WorkerSerializer(many=True),
    )
    def get(self, request: Any) -> Response:
        """List them."""
        require_user(self.actor)
        asked = request.query_params
        workers = visible_workers(self.actor)
        workers = gone(workers) if asked.get("gone") == "true" else here(workers)
        found = matching(workers, q=asked.get("q", ""), queue=asked.get("queue", ""))
        paginator = KeysetPagination()
        page = paginator.paginate_queryset(found, request, view=self) or []
        return paginator.get_paginated_response(self._serialized(views_of(self.actor, page)))


class WorkerDetail(_WorkerAPIView):
    """One worker."""

    @extend_schema(
        operation_id="workers_read", tags=["jobs"], summary="Fetch a worker", responses=WorkerSerializer
    )
    def get(self, request: Any, worker: str) -> Response:
        """By its name or id."""
        return self.shown(get_visible_worker(self.actor, worker))


class WorkerDrain(_WorkerAPIView):
    """Staff: it takes nothing new."""

    @extend_schema(
        operation_id="workers_drain",
        tags=["jobs"],
        summary="Let a worker take no new jobs (staff)",
        request=None,
        responses=WorkerSerializer,
    )
    def post(self, request: Any, worker: str) -> Response:
        """What runs goes on to its end."""
        found = get_managed_worker(self.actor, worker)
        read_fields(request, ())
        return self.shown(actions.drain(actor=self.actor, worker=found))


class WorkerResume(_WorkerAPIView):
    """Staff: it works again."""

    @extend_schema(
        operation_id="workers_resume",
        tags=["jobs"],
        summary="Let a worker take jobs again (staff)",
        request=None,
        responses=WorkerSerializer,
    )
    def post(self, request: Any, worker: str) -> Response:
        """After a drain."""
        found = get_managed_worker(self.actor, worker)
        read_fields(request, ())
        return self.shown(actions.resume(actor=self.actor, worker=found))


_WORKER = r"workers/(?P<worker>[^/]+)"
api_root_urlpatterns = [
    api_path(r"workers", WorkerList.as_view(), name="workers"),
    api_path(rf"{_WORKER}/drain", WorkerDrain.as_view(), name="worker-drain"),
    api_path(rf"{_WORKER}/resume", WorkerResume.as_view(), name="worker-resume"),
    api_path(_WORKER, WorkerDetail.as_view(), name="worker"),
]
