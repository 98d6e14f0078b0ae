"""Pages of a team: overview, projects, tokens, roles, audit trail, settings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts import actions, queries
from apps.accounts.access import get_editable_project, get_trashed_project, trashed_projects, visible_projects
from apps.accounts.api_teams import export_answer
from apps.accounts.forms import TeamForm, TeamSettingsForm
from apps.accounts.models import Team
from apps.accounts.pages import signed_in, team_page
from apps.accounts.permissions_table import permissions, rules
from apps.accounts.states import Role
from apps.accounts.team_overview import overview_of, people_by_project
from apps.accounts.trail import AuditFilter, audit_of_team, in_words
from apps.accounts.usage import work_in
from foundation.clock import now
from foundation.errors import AtelierError, Invalid
from foundation.ui.forms import add_error
from foundation.ui.listing import list_page
from foundation.ui.toasts import say_with_undo


@signed_in
def team_new(request: Any) -> HttpResponse:
    """Make a team; its maker becomes the owner."""
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            team = actions.create_team(actor=request.actor, **form.cleaned_data)
        except AtelierError as error:
            add_error(form, error)
        else:
            messages.success(request, f"The team {team.name} is ready.")
            return redirect("accounts:team", team.slug)
    return render(request, "teams/new.html", {"form": form}, status=422 if form.is_bound else 200)


@team_page()
def overview(request: Any, team: Team) -> HttpResponseBase:
    """What runs, what is kept and spent, project by project."""
    projects = list(visible_projects(request.actor).filter(team=team).order_by("name"))
    context = {"team": team, "overview": overview_of(team, projects)}
    return render(request, "teams/overview.html", context)


@team_page()
def live(request: Any, team: Team) -> HttpResponseBase:
    """The part of the overview that changes by itself."""
    projects = list(visible_projects(request.actor).filter(team=team))
    return render(request, "teams/_work.html", {"team": team, "work": work_in(projects)})


@team_page()
def project_list(request: Any, team: Team) -> HttpResponseBase:
    """Projects with who has which role in them, and those in the trash."""
    found = queries.search(visible_projects(request.actor).filter(team=team), request.GET.get("q", ""))
    orders = {"name": "name", "created": "created_at"}
    listing = list_page(request, found, orders=orders, default="name")
    context = {
        "team": team,
        "listing": listing,
        "people": people_by_project(team, listing.rows),
        "trashed": trashed_projects(request.actor).filter(team=team).order_by("name"),
    }
    return render(request, "teams/projects.html", context)


@team_page()
@require_POST
def project_verb(request: Any, team: Team, project: str, verb: str) -> HttpResponseBase:
    """Move a project of the team to the trash, or take it out."""
    if verb == "trash":
        found = get_editable_project(request.actor, project, role=Role.OWNER)
        queries.check_team_of(found, team)
        actions.trash_project(actor=request.actor, project=found)
        undo = reverse("accounts:team-project-verb", args=[team.slug, found.slug, "restore"])
        say_with_undo(request, f"{found.name} moved to the trash.", undo)
    else:
        found = get_trashed_project(request.actor, project)
        queries.check_team_of(found, team)
        actions.restore_project(actor=request.actor, project=found)
        messages.success(request, f"{found.name} is back.")
    return redirect("accounts:team-projects", team.slug)


@team_page()
def tokens(request: Any, team: Team) -> HttpResponseBase:
    """Tokens that reach the team: one's own; for maintainers and owners everybody's."""
    found = queries.team_tokens(request.actor, team)
    q = request.GET.get("q", "").replace("\x00", "").strip()
    if q:
        found = found.filter(queries.token_matches(q))
    state = request.GET.get("state", "live")
    if state == "live":
        found = found.filter(queries.token_is_live())
    orders = {"name": "name", "used": "last_used_at", "created": "created_at", "expires": "expires_at"}
    listing = list_page(request, found, orders=orders, default="-created")
    context = {"team": team, "listing": listing, "state": state, "now": now()}
    return render(request, "teams/tokens.html", context)


@team_page(write=Role.MEMBER)
@require_POST
def token_revoke(request: Any, team: Team, token: UUID) -> HttpResponseBase:
    """End a token that one may see here."""
    found = queries.get_team_token(request.actor, team, token)
    actions.revoke_token(actor=request.actor, token=found)
    messages.success(request, f"The token {found.name} is revoked.")
    return redirect("accounts:team-tokens", team.slug)


@team_page()
def roles(request: Any, team: Team) -> HttpResponseBase:
    """Who may do what, as the addresses themselves say it."""
    context = {
        "team": team,
        "roles": [role for role in Role if role is not Role.MEMBER],
        "permissions": permissions(),
        "rules": rules(),
    }
    return render(request, "teams/roles.html", context)


@team_page(Role.MAINTAINER)
def audit(request: Any, team: Team) -> HttpResponseBase:
    """What was changed, by whom and when."""
    problem, status = "", 200
    try:
        wanted = AuditFilter.read(request.GET)
    except Invalid as error:
        problem, status, wanted = error.message, error.status, AuditFilter()
    listing = list_page(request, audit_of_team(team, wanted), orders={"at": "at"}, default="-at")
    for event in listing.rows:
        event.words = in_words(event.detail)
    context = {
        "team": team,
        "listing": listing,
        "problem": problem,
        "actions": queries.actions_of(team),
        "members": queries.actors_of(team),
        "projects": team.projects.order_by("name"),
        "query": request.GET.urlencode(),
    }
    return render(request, "teams/audit.html", context, status=status)


@team_page(Role.MAINTAINER)
def audit_export(request: Any, team: Team) -> HttpResponseBase:
    """The list as a file."""
    return export_answer(request.actor, request, team)


@team_page(Role.MEMBER)
def settings(request: Any, team: Team) -> HttpResponseBase:
    """Name and description; owners change them."""
    initial = {"name": team.name, "description": team.description}
    form = TeamSettingsForm(request.POST or None, initial=initial)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                actions.update_team(actor=request.actor, team=team, **form.cleaned_data)
            except AtelierError as error:
                add_error(form, error)
                status = error.status
            else:
                messages.success(request, "The settings are saved.")
                return redirect("accounts:team-settings", team.slug)
    if not request.can_own:
        for field in form.fields.values():
            field.disabled = True
    return render(request, "teams/settings.html", {"team": team, "form": form}, status=status)
