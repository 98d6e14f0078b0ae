"""HTML pages of jobs: parse, one domain call, render."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.jobs import logs
from apps.jobs.access import get_editable_job, get_visible_job
from apps.jobs.actions import request_cancel
from apps.jobs.api import whole_number
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
    page = JobPage.build(found)
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
    """A piece of the log as plain text, from ?offset= bytes. With ?follow the reader goes on from attempt to
    attempt: X-Next-Attempt names the one whose log comes next, from its beginning."""
    found = get_visible_job(request.actor, project, job)  # type: ignore[attr-defined]
    chunk = logs.read_log(
        found, offset=whole_number(request, "offset", 0) or 0, attempt=whole_number(request, "attempt", None)
    )
    response = HttpResponse(logs.readable(chunk.text), content_type="text/plain; charset=utf-8")
    response.headers["X-Next-Offset"] = str(chunk.next_offset)
    following = "follow" in request.GET
    more = following and 0 < chunk.attempt < found.fence and chunk.complete
    if more:
        response.headers["X-Next-Attempt"] = str(chunk.attempt + 1)
    if following and chunk.attempt:
        response.headers["X-Attempt"] = str(chunk.attempt)
    live = more or not chunk.complete or (following and not found.is_terminal)
    response.headers["X-Live"] = "1" if live else "0"
    response.headers["Cache-Control"] = "no-store"
    return response


@project_page()
@require_GET
def job_log_download(request: HttpRequest, project: Project, job: Any) -> HttpResponseBase:
    """The whole log as a file."""
    found = get_visible_job(request.actor, project, job)  # type: ignore[attr-defined]
    file = logs.open_whole(found, attempt=whole_number(request, "attempt", None))
    if file is None:
        raise NotFound("job.log_empty", "This job has written nothing.")
    name = f"{found.kind.replace('.', '-')}-{found.pk.hex[-8:]}.log"
    return FileResponse(file, as_attachment=True, filename=name, content_type="text/plain; charset=utf-8")


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
