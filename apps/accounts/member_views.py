"""Pages of a team's members: the list, adding and inviting, roles, off-boarding."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from apps.accounts import actions, queries
from apps.accounts.invitation_links import link_to, send
from apps.accounts.member_forms import AddMemberForm, CreateMemberForm, InviteForm, RolesForm
from apps.accounts.models import Membership, Project, Team
from apps.accounts.offboarding import departure_of
from apps.accounts.pages import team_page
from apps.accounts.states import Role
from foundation.errors import AtelierError
from foundation.ui.forms import add_error
from foundation.ui.listing import list_page

WAYS = {"invite": InviteForm, "create": CreateMemberForm, "add": AddMemberForm}


@team_page()
def member_list(request: Any, team: Team) -> HttpResponseBase:
    """Members with their roles; for owners also the invitations that are open."""
    found = queries.members_of(team)
    q = request.GET.get("q", "").replace("\x00", "").strip()
    if q:
        found = found.filter(
            Q(user__username__icontains=q)
            | Q(user__first_name__icontains=q)
            | Q(user__last_name__icontains=q)
        )
    if request.GET.get("role") in Role.values:
        found = found.filter(role=request.GET["role"])
    orders = {"account": "user__username", "since": "created_at", "seen": "user__last_login"}
    listing = list_page(request, found, orders=orders, default="account")
    open_ones = list(queries.open_invitations_of(team)) if request.can_own else []
    named = queries.invited_projects(open_ones)
    context = {
        "team": team,
        "listing": listing,
        "invitations": [
            (one, [(named[key].name, Role(role)) for key, role in one.projects.items() if key in named])
            for one in open_ones
        ],
        "roles": list(Role),
    }
    return render(request, "teams/members.html", context)


def _projects(team: Team) -> Any:
    return Project.objects.alive().filter(team=team).order_by("name")


@team_page(Role.OWNER)
@never_cache
def member_new(request: Any, team: Team, how: str) -> HttpResponseBase:
    """Invite by link, make an account with a one-time password, or add an account: what is secret is shown once."""
    form = WAYS[how](request.POST or None, projects=_projects(team))
    context: dict[str, Any] = {"team": team, "form": form, "how": how}
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                return _new_member(request, team, how, form.values())
            except AtelierError as error:
                add_error(form, error)
                status = error.status
    return render(request, "teams/member_new.html", context, status=status)


def _new_member(request: Any, team: Team, how: str, values: dict[str, Any]) -> HttpResponse:
    if how == "add":
        member = actions.set_member(actor=request.actor, team=team, **values)
        messages.success(
            request, f"{member.user.label} is now {Role(member.role).label.lower()} in {team.name}."
        )
        return redirect("accounts:team-members", team.slug)
    context: dict[str, Any] = {"team": team, "how": how}
    if how == "create":
        context["member"], context["password"] = actions.create_member(
            actor=request.actor, team=team, **values
        )
        context["login"] = request.build_absolute_uri("/login")
    else:
        invitation, code = actions.create_invitation(actor=request.actor, team=team, **values)
        link = link_to(request, code)
        context |= {"invitation": invitation, "link": link, "sent": send(invitation, link)}
    return render(request, "teams/member_made.html", context, status=201)


@team_page()
def member_detail(request: Any, team: Team, username: str) -> HttpResponseBase:
    """One member's roles; owners change them here."""
    member = queries.get_member(team, username)
    given = queries.roles_by_project(member)
    initial = {"role": member.role, **{f"in-{slug}": role for slug, role in given.items()}}
    form = RolesForm(request.POST or None, projects=_projects(team), initial=initial)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                actions.set_member(actor=request.actor, team=team, username=username, **form.values())
            except AtelierError as error:
                add_error(form, error)
                status = error.status
            else:
                messages.success(request, f"The roles of {member.user.label} are saved.")
                return redirect("accounts:team-members", team.slug)
    if not request.can_own:
        for field in form.fields.values():
            field.disabled = True
    context = {
        "team": team,
        "member": member,
        "form": form,
        "is_me": member.user == request.user,
        "may_renew": request.can_own and _may_renew(member),
    }
    return render(request, "teams/member.html", context, status=status)


def _may_renew(member: Membership) -> bool:
    return member.user.one_time_until is not None and not member.user.is_superuser


@team_page(Role.MEMBER, write=Role.MEMBER)
@never_cache
def member_remove(request: Any, team: Team, username: str) -> HttpResponseBase:
    """What ends when somebody leaves the team, and what becomes of their running work."""
    member = queries.get_member(team, username)
    is_me = member.user == request.user
    queries.check_may_remove(request.actor, team, member)
    problem, status = "", 200
    if request.method == "POST":
        try:
            actions.remove_member(
                actor=request.actor,
                team=team,
                username=username,
                take_over=request.POST.get("work") == "take_over",
            )
        except AtelierError as error:
            problem, status = error.message, error.status
        else:
            if is_me:
                return redirect("/")
            messages.success(request, f"{member.user.label} is no longer a member of {team.name}.")
            return redirect("accounts:team-members", team.slug)
    context = {
        "team": team,
        "member": member,
        "departure": departure_of(team, member.user),
        "is_me": is_me,
        "problem": problem,
    }
    return render(request, "teams/remove.html", context, status=status)


@team_page(Role.OWNER)
@require_POST
@never_cache
def member_password(request: Any, team: Team, username: str) -> HttpResponseBase:
    """Another one-time password, shown once."""
    member = queries.get_member(team, username)
    password = actions.renew_one_time_password(actor=request.actor, team=team, username=username)
    context = {
        "team": team,
        "how": "create",
        "member": member,
        "password": password,
        "login": request.build_absolute_uri("/login"),
    }
    return render(request, "teams/member_made.html", context, status=201)


@team_page(Role.OWNER)
@require_POST
def invitation_revoke(request: Any, team: Team, invitation: UUID) -> HttpResponseBase:
    """Withdraw a link that nobody has used."""
    found = queries.get_invitation(team, invitation)
    try:
        actions.revoke_invitation(actor=request.actor, invitation=found)
    except AtelierError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"The invitation for {found.label} is withdrawn.")
    return redirect("accounts:team-members", team.slug)
