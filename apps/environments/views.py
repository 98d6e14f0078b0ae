"""Pages of environments. Each view parses, makes one domain call, and renders."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.accounts.trash import name_trashers, trash_page
from apps.environments import actions, queries
from apps.environments.access import get_environment
from apps.environments.forms import EnvironmentEdit, EnvironmentForm
from apps.environments.models import Environment
from apps.environments.pages import EnvironmentPage
from apps.environments.states import EnvironmentState
from foundation.errors import AtelierError, NotFound
from foundation.ui.fragments import render_live
from foundation.ui.listing import list_page
from foundation.ui.toasts import say_with_undo

ORDERS = {"name": "name", "created": "created_at", "size": "size", "used": "used_at", "uses": "used"}
SNIPPET = """curl -H "Authorization: Bearer $TOKEN" -F code=@train.py \\
  -F 'spec={"environment": {"requirements": "xgboost>=2\\\\nmlflow"}}' \\
  """


def _actor(request: HttpRequest) -> Any:
    return request.actor  # type: ignore[attr-defined]  # set by the middleware


@require_GET
@project_page()
def environment_list(request: HttpRequest, project: Project) -> HttpResponse:
    """All environments of the project, or (`?trashed=1`) those in the trash."""
    trashed = request.GET.get("trashed") == "1"
    rows = queries.environments_of(project, q=request.GET.get("q", ""), trashed=trashed)
    state = request.GET.get("state", "")
    if state in EnvironmentState.values:
        rows = rows.filter(state=state)
    listing = list_page(request, rows, orders=ORDERS, default="name")
    if trashed:
        name_trashers(project, listing.rows, "environment.trash")
    snippet = SNIPPET + request.build_absolute_uri(f"/api/v1/projects/{project.slug}/runs")
    context = {
        "listing": listing,
        "trashed": trashed,
        "snippet": snippet,
        "states": EnvironmentState.choices,
        "building": any(row.is_building for row in listing.rows),
    }
    if "fragment" in request.GET:
        return render_live(request, "environments/_table.html", context)
    return render(request, "environments/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def environment_new(request: HttpRequest, project: Project) -> HttpResponse:
    """The form of a new environment; ?from= fills in the requirements of another one."""
    form = EnvironmentForm(
        request.POST or None, request.FILES or None, initial=_proposal(project, request.GET.get("from", ""))
    )
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.create_environment(actor=_actor(request), project=project, **form.cleaned_data)
        except AtelierError as error:
            field = {"name.invalid": "name", "environment.duplicate": "name"}.get(error.code)
            form.add_error(field or str(error.detail.get("field") or "") or None, error.message)
        else:
            return redirect(made)
    status = 422 if request.method == "POST" else 200
    return render(request, "environments/new.html", {"form": form}, status=status)


def _proposal(project: Project, name: str) -> dict[str, str]:
    try:
        origin = get_environment(project, name) if name else None
    except NotFound:
        origin = None
    return {"requirements": origin.requirements} if origin is not None else {}


@require_GET
@project_page()
def environment_detail(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """One environment: its state, packages, uses and build log; ?fragment: its live part."""
    try:
        found = get_environment(project, name)
    except NotFound:
        return _in_trash(request, project, get_environment(project, name, trashed=True))
    context = {"page": EnvironmentPage.build(found), "environment": found}
    if "fragment" in request.GET:
        answer = render_live(request, "environments/_live.html", context)
        if not found.is_building:  # what can be done with it stands above the part that is live
            answer.headers["HX-Refresh"] = "true"
        return answer
    return render(request, "environments/detail.html", context)


@require_GET
@project_page()
def environment_lock(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """The lock as a requirements file with hashes."""
    found = get_environment(project, name)
    if not found.lock:
        raise NotFound("environment.no_lock", f"The environment {found.name} has not been resolved yet.")
    answer = HttpResponse(found.lock, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{found.name}-requirements.txt"'
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def environment_edit(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """Rename or describe."""
    found = get_environment(project, name)
    form = EnvironmentEdit(
        request.POST or None, initial={"name": found.name, "description": found.description}
    )
    if request.method == "POST" and form.is_valid():
        try:
            found = actions.update_environment(
                actor=_actor(request), environment=found, changes=form.cleaned_data
            )
        except AtelierError as error:
            form.add_error("name", error.message)
            found = get_environment(project, name)
        else:
            return redirect(found)
    status = 422 if request.method == "POST" else 200
    return render(request, "environments/edit.html", {"form": form, "environment": found}, status=status)


@require_POST
@project_page()
def environment_verb(request: HttpRequest, project: Project, name: str, verb: str) -> HttpResponse:
    """Build again, move to the trash, or bring back."""
    found = get_environment(project, name, trashed=verb == "restore")
    try:
        if verb == "trash":
            actions.trash_environment(actor=_actor(request), environment=found)
            undo = reverse("environments:verb", args=[project.slug, found.name, "restore"])
            say_with_undo(request, f"{found.name} moved to the trash.", undo)
            return redirect("environments:list", project.slug)
        if verb == "restore":
            found = actions.restore_environment(actor=_actor(request), environment=found)
            messages.success(request, f"{found.name} is back.")
        else:
            actions.build_again(actor=_actor(request), environment=found)
    except AtelierError as error:
        messages.error(request, error.message)
        if verb == "restore":
            return redirect("environments:list", project.slug)
    return redirect(found)


def _in_trash(request: HttpRequest, project: Project, environment: Environment) -> HttpResponse:
    name_trashers(project, [environment], "environment.trash")
    return trash_page(
        request,
        environment,
        title=environment.name,
        kind="environment",
        listing=("Environments", reverse("environments:list", args=[project.slug])),
        restore_url=reverse("environments:verb", args=[project.slug, environment.name, "restore"]),
        may_restore=request.can_edit,  # type: ignore[attr-defined]
        keeps="Its packages are installed again, at the same versions, when a run needs them.",
    )
