"""What a project's home shows: running, failed, in production, drifting, recent, and the next step.

Each app is asked for its own part; an app that is not installed has none.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db.models import Sum
from django.urls import NoReverseMatch, reverse

from apps.accounts.access import Actor
from apps.accounts.models import Project
from foundation.clock import now
from foundation.ui.values import number

SHOWN = 6
DAY = datetime.timedelta(days=1)
WEEK = datetime.timedelta(days=7)


@dataclass(frozen=True)
class Entry:
    """One line of a feed."""

    state: str
    title: str
    url: str
    note: str = ""
    at: datetime.datetime | None = None
    progress: Any = None


@dataclass(frozen=True)
class Step:
    """One step of the way from data to a watched model. ``url`` is empty while it cannot be taken yet."""

    title: str
    text: str
    done: bool
    url: str = ""
    verb: str = ""


@dataclass(frozen=True)
class Overview:
    """Everything the home page shows."""

    running: list[Entry] = field(default_factory=list)
    failed: list[Entry] = field(default_factory=list)
    waiting: list[Entry] = field(default_factory=list)
    deployments: list[Entry] = field(default_factory=list)
    drifting: list[Entry] = field(default_factory=list)
    monitors: list[Entry] = field(default_factory=list)
    datasets: list[Entry] = field(default_factory=list)
    runs: list[Entry] = field(default_factory=list)
    predictions: int | None = None
    steps: list[Step] = field(default_factory=list)

    @property
    def next_step(self) -> Step | None:
        """The first step that is not done yet."""
        return next((step for step in self.steps if not step.done), None)

    @property
    def is_live(self) -> bool:
        """Whether anything is going on, so that the page should look again."""
        return bool(self.running) or any(
            entry.state in ("starting", "stopping") for entry in self.deployments
        )


def link(name: str, *args: Any) -> str:
    """A page's address, or nothing while no app has that page."""
    try:
        return reverse(name, args=[str(arg) for arg in args])
    except NoReverseMatch:
        return ""


def overview(actor: Actor, project: Project) -> Overview:
    """Everything the home page of a project shows."""
    found: dict[str, Any] = {}
    for app, part in (
        ("jobs", _jobs),
        ("datasets", _datasets),
        ("experiments", _runs),
        ("registry", _models),
        ("deployments", _deployments),
        ("monitoring", _monitors),
    ):
        if apps.is_installed(f"apps.{app}"):
            found.update(part(project))
    return Overview(
        steps=_steps(project, found), **{key: value for key, value in found.items() if key != "versions"}
    )


def _jobs(project: Project) -> dict[str, Any]:
    from apps.jobs.models import Job
    from apps.jobs.queries import live_jobs, progress_of
    from apps.jobs.states import JobState

    broken = (JobState.FAILED, JobState.ERRORED, JobState.TIMED_OUT)
    ended = Job.objects.filter(project=project, state__in=broken, finished_at__gt=now() - WEEK)
    return {
        "running": [
            Entry(
                job.state,
                job.title,
                link("jobs:detail", project.slug, job.pk),
                at=job.queued_at,
                progress=progress_of(job),
            )
            for job in live_jobs([project], limit=SHOWN)
        ],
        "failed": [
            Entry(
                job.state,
                job.title,
                link("jobs:detail", project.slug, job.pk),
                note=job.reason,
                at=job.finished_at,
            )
            for job in ended.order_by("-finished_at")[:SHOWN]
        ],
    }


def _datasets(project: Project) -> dict[str, Any]:
    from apps.datasets.models import DatasetVersion

    versions = DatasetVersion.objects.alive().filter(project=project, dataset__deleted_at__isnull=True)
    return {
        "datasets": [
            Entry(
                version.state,
                f"{version.dataset.name}@{version.number}",
                link("datasets:version", project.slug, version.dataset.name, version.number)
                or link("datasets:detail", project.slug, version.dataset.name),
                note=f"{number(version.rows)} rows, {version.columns} columns" if version.rows else "",
                at=version.created_at,
            )
            for version in versions.select_related("dataset").order_by("-created_at")[:SHOWN]
        ]
    }


def _runs(project: Project) -> dict[str, Any]:
    from apps.experiments.models import Run

    runs = (
        Run.objects.alive()
        .filter(project=project)
        .select_related("experiment", "job", "dataset_version__dataset")
    )
    return {
        "runs": [
            Entry(
                run.state,
                run.name,
                link("experiments:run", project.slug, run.pk.hex),
                note=_told(run),
                at=run.created_at,
            )
            for run in runs.order_by("-created_at")[:SHOWN]
        ]
    }


def _told(run: Any) -> str:
    parts = [run.experiment.name]
    if run.algorithm:
        parts.append(run.algorithm.replace("_", " "))
    if run.dataset_version is not None:
        parts.append(f"{run.dataset_version.dataset.name}@{run.dataset_version.number}")
    return " · ".join(parts)


def _models(project: Project) -> dict[str, Any]:
    return {}


def _deployments(project: Project) -> dict[str, Any]:
    from apps.deployments.models import Deployment, InferenceSegment

    alive = Deployment.objects.alive().filter(project=project)
    recent = InferenceSegment.objects.filter(deployment__in=alive, origin="predict", start__gt=now() - DAY)
    return {
        "deployments": [
            Entry(
                item.state,
                item.name,
                link("deployments:detail", project.slug, item.name),
                note=item.model_ref,
                at=item.state_changed_at,
            )
            for item in alive.order_by("name")[:SHOWN]
        ],
        "predictions": recent.aggregate(rows=Sum("rows"))["rows"] or 0,
    }


def _monitors(project: Project) -> dict[str, Any]:
    return {}


def _steps(project: Project, found: dict[str, Any]) -> list[Step]:
    """From data to a watched model, as links to what can be done now."""
    ready = [entry for entry in found.get("datasets", []) if entry.state == "ready"]
    trained = [entry for entry in found.get("runs", []) if entry.state == "succeeded"]
    versions = bool(found.get("versions"))
    steps = [
        Step("Upload a dataset", "A table with a header: CSV, TSV, JSON lines, Parquet or Excel.", bool(ready), link("datasets:new", project.slug), "Upload"),
        Step("Train a model", "Choose the column to predict and an algorithm.", bool(trained), link("experiments:new-run", project.slug) if ready else "", "Train"),
        Step("Register the model", "From the page of a run that is good enough.", versions, trained[0].url if trained else "", "Open the run"),
        Step("Deploy it", "It then answers predictions, and every one is recorded.", bool(found.get("deployments")), link("deployments:new", project.slug) if versions else "", "Deploy"),
        Step("Watch it", "A monitor compares what comes in with what it learned from.", bool(found.get("monitors")), link("monitoring:new", project.slug) if found.get("deployments") else "", "Watch"),
    ]  # fmt: skip
    return steps
