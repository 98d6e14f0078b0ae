"""HTML pages: the form of a new script's run, and the script of a run as a file."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.experiments.access import get_visible_run
from apps.experiments.models import Run
from apps.experiments.scripts.kept import code_of, read_file
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
    """The script of a run, the zip of its files, or one of them (?file=)."""
    return code_response(get_visible_run(request.actor, project, run), request.GET.get("file", ""))  # type: ignore[attr-defined]


def code_response(run: Run, path: str = "") -> HttpResponse:
    """The code as an attachment: what somebody wrote is never rendered under the studio's own origin.

    Raises NotFound "run.no_code" or "run.no_code_file".
    """
    packed = bool(run.code_source) and not path
    kind = (
        "application/zip"
        if packed
        else "application/octet-stream"
        if path
        else "text/x-python; charset=utf-8"
    )
    name = f"{run.name}.zip" if packed else (path or run.code_name).rpartition("/")[2]
    response = HttpResponse(read_file(run, path) if path else code_of(run), content_type=kind)
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    return response
