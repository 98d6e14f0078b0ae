"""Tags with which pages of other apps offer news."""

from __future__ import annotations

from typing import Any

from django import template

from apps.inbox.news import page_of
from apps.inbox.queries import waits_for
from apps.jobs.models import Job

register = template.Library()


@register.inclusion_tag("inbox/_watch.html", takes_context=True)
def watch_button(context: template.Context, job: Job | None) -> dict[str, Any]:
    """{% watch_button job %}: "Tell me when it ends", while the job is live and somebody is signed in."""
    request = context["request"]
    shown = job is not None and job.is_live and request.user.is_authenticated
    return {
        "job": job,
        "shown": shown,
        "waits": shown and job is not None and waits_for(request.user, job.pk),
        "back": page_of(job) if shown and job is not None else "",
        "project": context.get("project"),
        "csrf_token": context.get("csrf_token"),
    }
