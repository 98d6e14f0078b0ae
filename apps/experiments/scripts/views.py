"""HTML pages: the form of a new script's run, and the script of a run as a file."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.experiments.access import get_visible_run
from apps.experiments.models import Run
from apps.experiments.scripts.actions import code_of
from apps.experiments.scripts.page import NewScript


@project_page()
@require_http_methods(["GET", "POST"])
def script_new(request: HttpRequest, project: Project) -> HttpResponse:
    """The form of a new script's run; POST starts it."""
    page = NewScript.build(request, project)
    if request.method == "POST":
        run = page.start(request)
        if run is not None:
            return redirect("experiments:run", project=project.slug, run=run.hex)
    status = 422 if page.problem else 200
    return render(request, "experiments/new_script.html", {"page": page}, status=status)


@project_page()
@require_GET
def script_download(request: HttpRequest, project: Project, run: str) -> HttpResponse:
    """The script of a run as a file."""
    return code_response(get_visible_run(request.actor, project, run))  # type: ignore[attr-defined]


def code_response(run: Run) -> HttpResponse:
    """The script as an attachment: what somebody wrote is never rendered under the studio's own origin.

    Raises NotFound "run.no_code".
    """
    response = HttpResponse(code_of(run), content_type="text/x-python; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{run.code_name}"'
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    return response
