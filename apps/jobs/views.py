"""HTML pages of jobs: parse, one domain call, render."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.jobs import logs
from apps.jobs.access import get_editable_job, get_visible_job
from apps.jobs.actions import request_cancel
from apps.jobs.api import whole_number
from apps.jobs.log_pane import SearchPage, log_answer
from apps.jobs.pages import JobPage, ListPage
from foundation.errors import Conflict, NotFound
from foundation.ui.fragments import render_live


def _is_fragment(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


@project_page()
@require_GET
def job_list(request: HttpRequest, project: Project) -> HttpResponse:
    """The jobs of a project."""
    context = {"page": ListPage.build(request, project)}
    if _is_fragment(request):
        return render_live(request, "jobs/_table.html", {**context, "project": project})
    return render(request, "jobs/list.html", {**context, "listing": context["page"].listing})


@project_page()
@require_GET
def job_detail(request: HttpRequest, project: Project, job: Any) -> HttpResponse:
    """One job."""
    found = get_visible_job(request.actor, project, job)  # type: ignore[attr-defined]
    page = JobPage.build(found, log_attempt=whole_number(request, "attempt", None))
    context = {"page": page, "job": found, "project": project}
    if _is_fragment(request):
        part = "jobs/_badge.html" if request.GET.get("part") == "badge" else "jobs/_detail.html"
        return render_live(request, part, context)
    return render(request, "jobs/detail.html", context)


@project_page()
@require_GET
def job_progress(request: HttpRequest, project: Project, job: Any) -> HttpResponse:
    """The progress bar that other pages embed."""
    found = get_visible_job(request.actor, project, job)  # type: ignore[attr-defined]
    return render_live(request, "jobs/_progress.html", {"job": found, "project": project})


@project_page()
@require_GET
def job_log(request: HttpRequest, project: Project, job: Any) -> HttpResponse:
    """Lines of the log for a log pane: from ?offset= bytes on (the line there is number ?line=, its style ?style=),
    ?before= those that end there, or ?around= a line. With ?follow the reader goes on from attempt to attempt:
    X-Next-Attempt names the one whose log comes next, from its beginning."""
    found = get_visible_job(request.actor, project, job)  # type: ignore[attr-defined]
    return log_answer(request, found)


@project_page()
@require_GET
def job_log_search(request: HttpRequest, project: Project, job: Any) -> HttpResponse:
    """The lines of the log that contain ?q=: a page, or the list of a log pane."""
    found = get_visible_job(request.actor, project, job)  # type: ignore[attr-defined]
    page = SearchPage.build(request, found)
    template = "jobs/_hits.html" if _is_fragment(request) else "jobs/log_search.html"
    context = {"page": page, "job": found, "project": project}
    return render(request, template, context, status=page.problem.status if page.problem else 200)


@project_page()
@require_GET
def job_log_download(request: HttpRequest, project: Project, job: Any) -> HttpResponseBase:
    """The whole log as a file."""
    found = get_visible_job(request.actor, project, job)  # type: ignore[attr-defined]
    row = logs.attempt_of(found, whole_number(request, "attempt", None))
    source = None if row is None else logs.source_of(found, row)
    size = 0 if source is None else source.size
    if source is None or not size:
        raise NotFound("job.log_empty", "This job has written nothing.")
    name = f"{found.kind.replace('.', '-')}-{found.pk.hex[-8:]}.log"
    response = StreamingHttpResponse(
        logs.pieces_of(source, end=size), content_type="text/plain; charset=utf-8"
    )
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@project_page()
@require_POST
def job_cancel(request: HttpRequest, project: Project, job: Any) -> HttpResponse:
    """Ask a job to stop, and go back to it."""
    found = get_editable_job(request.actor, project, job)  # type: ignore[attr-defined]
    try:
        done = request_cancel(job=found, actor=request.actor)  # type: ignore[attr-defined]
        messages.success(
            request, "The job is cancelled." if done.is_terminal else "The job is asked to stop."
        )
    except Conflict as error:
        messages.error(request, error.message)
    return redirect("jobs:detail", project=project.slug, job=found.pk)
