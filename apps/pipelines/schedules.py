"""Pipelines on a schedule: a run of the newest definition, with the schedule's parameters."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django import forms

from apps.accounts.access import Actor, actor_for, role_in_project
from apps.accounts.models import Project
from apps.accounts.states import Role
from apps.jobs.schedules.registry import Firing, NotNow, Started, Subject, on_schedule
from apps.pipelines import nodes as kinds
from apps.pipelines.access import get_pipeline
from apps.pipelines.actions import start_pipeline_run
from apps.pipelines.definition import Definition, load_definition
from apps.pipelines.forms import parameter_fields
from apps.pipelines.models import Pipeline, PipelineRun
from apps.pipelines.parameters import clean_parameters
from apps.pipelines.states import LIVE, StartedBy
from foundation.errors import Conflict, NotFound

KIND = "pipelines.run"


@on_schedule(KIND, noun="pipeline")
class RunOnSchedule:
    """Starts the pipeline in the name of whoever set the schedule."""

    def find(self, project: Project, name: str) -> Subject:
        """The pipeline of that name."""
        return _subject(get_pipeline(project, name))

    def subjects(self, keys: Collection[str]) -> dict[str, Subject]:
        """Pipelines by key."""
        rows = Pipeline.objects.filter(pk__in=keys, deleted_at__isnull=True).select_related("project")
        return {str(row.pk): _subject(row) for row in rows}

    def check(self, actor: Actor, project: Project, key: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """What was given, once it fits: what is left out follows the definition's defaults."""
        clean_parameters(_definition(_pipeline(project, key)), parameters)
        return parameters

    def fields(self, key: str) -> dict[str, forms.Field]:
        """The parameters of the newest definition."""
        pipeline = Pipeline.objects.select_related("project", "latest").get(pk=key)
        return parameter_fields(_definition(pipeline), pipeline.project)

    def fire(self, firing: Firing) -> Started:
        """A run, queued."""
        pipeline = _pipeline(firing.project, firing.key)
        _check_author(pipeline, firing)
        _check_over(firing.previous_key)
        run = start_pipeline_run(
            actor=firing.actor, pipeline=pipeline, parameters=firing.parameters, source=StartedBy.SCHEDULE
        )
        return Started(title=run.label, url=run.get_absolute_url(), key=str(run.pk))


def _check_over(key: str) -> None:
    """Runs of one schedule do not pile up: while the last one works, the next time is left out."""
    if not key:
        return
    run = PipelineRun.objects.filter(pk=key, state__in=LIVE).only("number").first()
    if run is not None:
        raise NotNow("schedule.overlap", f"Its run #{run.number} was still working at this time.")


def _pipeline(project: Project, key: str) -> Pipeline:
    rows = Pipeline.objects.filter(pk=key, project=project, deleted_at__isnull=True)
    found: Pipeline | None = rows.select_related("project", "latest").first()
    if found is None:
        raise NotFound("pipeline.not_found", "The pipeline is in the trash.")
    return found


def _definition(pipeline: Pipeline) -> Definition:
    assert pipeline.latest is not None  # written in the transaction that makes the pipeline
    return load_definition(pipeline.latest.source, name=pipeline.name)


def _check_author(pipeline: Pipeline, firing: Firing) -> None:
    """Nobody reaches through somebody else's schedule what their own role does not allow.

    A definition that another person changed after the schedule was set may only hold nodes that this person may start
    too, until whoever set the schedule has saved it again.
    """
    version = pipeline.latest
    assert version is not None
    author = version.created_by
    if author is None or author == firing.actor.user or version.created_at <= firing.set_at:
        return
    role = role_in_project(actor_for(author), pipeline.project) or Role.VIEWER
    for node in _definition(pipeline).nodes.values():
        kind = kinds.every().get(node.kind)
        if kind is not None and kind.role.rank > max(role, Role.CONTRIBUTOR, key=lambda r: r.rank).rank:
            raise Conflict(
                "schedule.author",
                f"Version {version.number} was written by {author.label}, who may not start the node "
                f"'{node.name}' ({kind.title.lower()}). Look at it, and save the schedule again to allow it.",
            )


def _subject(pipeline: Pipeline) -> Subject:
    return Subject(str(pipeline.pk), pipeline.name, pipeline.get_absolute_url())
