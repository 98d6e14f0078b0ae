"""Pages that look over every app."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from apps.accounts import actions
from apps.accounts.access import visible_projects, visible_teams
from apps.accounts.forms import NewProjectForm, ProjectForm, ProjectSettingsForm
from apps.accounts.models import Project
from apps.accounts.pages import project_page, signed_in
from apps.accounts.queries import search
from apps.accounts.states import Role
from atelier.home.overview import overview
from foundation.errors import AtelierError
from foundation.ui.forms import add_error
from foundation.ui.listing import list_page
from foundation.ui.patterns import PARTS, patterns_context


@signed_in
def project_list(request: Any) -> HttpResponse:
    """The first page: every project one may see."""
    mine = visible_projects(request.actor)
    found = search(mine, request.GET.get("q", ""))
    listing = list_page(
        request,
        found,
        orders={"name": "name", "created": "created_at", "changed": "updated_at"},
        default="name",
    )
    teams = visible_teams(request.actor).distinct().order_by("name")
    snippet = (
        f"curl {request.build_absolute_uri('/api/v1/projects')} \\\n"
        "  -H 'Authorization: Bearer atl_…' -H 'Content-Type: application/json' \\\n"
        """  -d '{"slug": "churn", "name": "Churn"}'"""
    )
    return render(request, "projects/list.html", {"listing": listing, "teams": teams, "snippet": snippet})


@signed_in
def project_new(request: Any) -> HttpResponse:
    """Make a project."""
    teams = visible_teams(request.actor).distinct().order_by("name")
    form = NewProjectForm(request.POST or None, teams=teams, initial={"team": teams.first()})
    if request.method == "POST" and form.is_valid():
        try:
            project = actions.create_project(actor=request.actor, **form.cleaned_data)
        except AtelierError as error:
            add_error(form, error)
        else:
            return redirect("home:project", project.slug)
    context = {"form": form, "teams": teams, "timezones": ProjectForm.timezones()}
    return render(request, "projects/new.html", context, status=422 if form.is_bound else 200)


@project_page()
def project_home(request: Any, project: Project) -> HttpResponse:
    """What runs, what failed, what is in production, what drifts, and what to do next."""
    return render(request, "home/project.html", {"overview": overview(project)})


@project_page()
def project_live(request: Any, project: Project) -> HttpResponse:
    """The part of the home page that changes by itself."""
    return render(request, "home/_live.html", {"overview": overview(project)})


@project_page()
def project_running(request: Any, project: Project) -> HttpResponse:
    """The pill of running jobs in the top bar."""
    return render(request, "layouts/_running.html")


@project_page(write=Role.MAINTAINER)
def project_settings(request: Any, project: Project) -> HttpResponse:
    """Name, description, time zone, own scripts; maintainers change them."""
    initial = {
        "name": project.name,
        "description": project.description,
        "timezone": project.timezone,
        "own_code": project.own_code,
    }
    form = ProjectSettingsForm(request.POST or None, initial=initial)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                actions.update_project(actor=request.actor, project=project, **form.cleaned_data)
            except AtelierError as error:
                add_error(form, error)
                status = error.status
            else:
                messages.success(request, "The settings are saved.")
                return redirect("home:settings", project.slug)
    if not request.can_maintain:
        for bound in form.fields.values():
            bound.disabled = True
    context = {"form": form, "timezones": ProjectForm.timezones(), "is_owner": request.role is Role.OWNER}
    return render(request, "projects/settings.html", context, status=status)


@project_page(write=Role.OWNER)
@require_POST
def project_trash(request: Any, project: Project) -> HttpResponse:
    """Move the project to the trash."""
    actions.trash_project(actor=request.actor, project=project)
    messages.success(request, f"{project.name} is in the trash. An owner of the team can restore it.")
    return redirect("home:projects")


def patterns(request: HttpRequest, part: str = "foundations") -> HttpResponse:
    """/patterns: every component in every state; open to anybody, since it shows nothing real."""
    if part not in dict(PARTS):
        raise Http404
    return render(request, f"patterns/{part}.html", patterns_context(request, part))
