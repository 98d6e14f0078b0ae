"""``{% load jobs %}``: what a template that embeds a job needs beside the job itself."""

from __future__ import annotations

from django import template

from apps.jobs.log_pane import LogPane
from apps.jobs.models import Job, JobAttempt
from apps.jobs.placement import Placement
from apps.jobs.queries import JobSummary, job_summary
from apps.jobs.use_charts import UseChart, use_charts_of
from apps.jobs.waiting import why_it_waits

register = template.Library()


@register.simple_tag
def summary_of(job: Job) -> JobSummary:
    """The job at a glance: {% summary_of job as summary %}."""
    return job_summary(job)


@register.simple_tag
def waits_for(job: Job) -> str:
    """What a queued job waits for: {% waits_for job %}."""
    return why_it_waits(job)


@register.simple_tag
def asked_for(job: Job) -> str:
    """The queue, resources and priority of a job where they are not the usual: {% asked_for job as words %}."""
    return Placement.of(job).words


@register.simple_tag
def use_charts(attempt: JobAttempt | None) -> list[UseChart]:
    """What an attempt used over its time: {% use_charts attempt as charts %}."""
    return use_charts_of(attempt or None)


@register.simple_tag
def log_pane(job: Job, attempt: int | str | None = None) -> LogPane:
    """The log of a job: {% log_pane job as pane %}. Without an attempt (or with an absent variable) the latest."""
    return LogPane.build(job, attempt=int(attempt) if attempt else None)
