"""Pages that look over every app."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts import actions
from apps.accounts.access import visible_projects, visible_teams
from apps.accounts.forms import NewProjectForm, ProjectForm, ProjectSettingsForm
from apps.accounts.models import Project
from apps.accounts.pages import project_page, signed_in
from apps.accounts.queries import search
from apps.accounts.states import Role
from atelier.home.activity import lines_of, rows_of
from atelier.home.navigation import navigation_for
from atelier.home.overview import overview
from atelier.home.steps import steps_of
from foundation.api import etag_of
from foundation.errors import AtelierError
from foundation.ui.forms import add_error
from foundation.ui.listing import list_page
from foundation.ui.patterns import PARTS, patterns_context
from foundation.ui.toasts import say_with_undo

#: audit rows that the home page looks at, the lines it shows of them, and the rows of a page of activity
HOME_ROWS, HOME_LINES, ACTIVITY_ROWS = 40, 8, 100


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
    asked = teams.filter(slug=request.GET.get("team", "")[:40]).first()
    form = NewProjectForm(request.POST or None, teams=teams, initial={"team": asked or teams.first()})
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
    """What runs, what failed, what is in production, what drifts, who did what, and what to do next."""
    newest = rows_of(project).order_by("-at", "-pk")[:HOME_ROWS]
    context = {
        "overview": overview(project),
        "steps": steps_of(project, request.actor, request.role),
        "lines": lines_of(project, newest, request.actor)[:HOME_LINES],
    }
    return render(request, "home/project.html", context)


@project_page()
def project_activity(request: Any, project: Project) -> HttpResponse:
    """Who did what, newest first; ?who=me leaves the others out."""
    mine = request.actor if request.GET.get("who") == "me" else None
    listing = list_page(
        request, rows_of(project, mine=mine), orders={"time": "at"}, default="-time", limit=ACTIVITY_ROWS
    )
    context = {
        "listing": listing,
        "lines": lines_of(project, listing.rows, request.actor),
        "mine": bool(mine),
    }
    return render(request, "home/activity.html", context)


@project_page()
def project_live(request: Any, project: Project) -> HttpResponse:
    """The part of the home page that changes by itself."""
    return render(request, "home/_live.html", {"overview": overview(project)})


@project_page()
def project_running(request: Any, project: Project) -> HttpResponse:
    """Running jobs and unread news in the top bar."""
    return _now(request)


@signed_in
def now(request: Any) -> HttpResponse:
    """Unread news in the top bar, outside any project."""
    return _now(request)


def _now(request: Any) -> HttpResponse:
    """The same again is answered with 304."""
    told = navigation_for(request)
    tag = etag_of(told.running, told.unread)
    if request.headers.get("If-None-Match") == tag:
        return HttpResponseNotModified()
    answer = render(request, "layouts/_now.html", {"navigation": told})
    answer["ETag"] = tag
    return answer


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
    undo = reverse("accounts:team-project-verb", args=[project.team.slug, project.slug, "restore"])
    say_with_undo(request, f"{project.name} moved to the trash. An owner of the team can restore it.", undo)
    return redirect("home:projects")


def patterns(request: HttpRequest, part: str = "foundations") -> HttpResponse:
    """/patterns: every component in every state; open to anybody, since it shows nothing real."""
    if part not in dict(PARTS):
        raise Http404
    return render(request, f"patterns/{part}.html", patterns_context(request, part))
