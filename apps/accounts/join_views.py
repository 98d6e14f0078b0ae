"""Joining a team by a link: /join#inv_….

What stands behind the '#' never reaches a server by itself. The page sends it in the body of a POST; from then on
the session holds which invitation was proved, for PROVED_FOR.
"""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from apps.accounts import actions
from apps.accounts.actions.invitations import check_open, check_person
from apps.accounts.authentication import address_of
from apps.accounts.member_forms import CodeForm, NewAccountForm
from apps.accounts.models import Invitation
from apps.accounts.queries import invited_projects
from apps.accounts.states import Role
from foundation.clock import now
from foundation.errors import AtelierError, Conflict
from foundation.ui.forms import add_error

PROVED_FOR = datetime.timedelta(hours=1)
_KEY = "invitation"


@sensitive_post_parameters()
@sensitive_variables()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: Any) -> HttpResponse:
    """Prove an invitation by its code, then accept it as who is signed in or as a new account."""
    if request.method == "POST" and "code" in request.POST:
        return _prove(request)
    invitation = _proved(request)
    if invitation is None:
        return render(request, "account/join_code.html", {"form": CodeForm()})
    try:
        check_open(invitation)
        if request.user.is_authenticated:
            check_person(invitation, request.user)
            if request.method == "POST":
                return _accept(request, invitation)
    except AtelierError as error:
        return _refused(request, invitation, error)
    initial = {"username": invitation.username}
    bound = request.method == "POST" and not request.user.is_authenticated
    form = NewAccountForm(request.POST if bound else None, initial=initial)
    status = 200
    if bound:
        status = 422
        if form.is_valid():
            try:
                return _accept_as_new(request, invitation, form.cleaned_data)
            except Conflict as error:
                if error.code.startswith("invitation."):
                    return _refused(request, invitation, error)
                status = error.status
                add_error(form, error)
            except AtelierError as error:
                status = error.status
                add_error(form, error)
    named = invited_projects([invitation])
    context = {
        "invitation": invitation,
        "role": Role(invitation.role),
        "projects": [(named[key], Role(role)) for key, role in invitation.projects.items() if key in named],
        "form": form,
    }
    return render(request, "account/join.html", context, status=status)


def _prove(request: Any) -> HttpResponse:
    form = CodeForm(request.POST)
    status = 422
    if form.is_valid():
        try:
            found = actions.find_invitation(form.cleaned_data["code"], address=address_of(request))
        except AtelierError as error:
            add_error(form, error)
            status = error.status
        else:
            request.session[_KEY] = [str(found.pk), now().timestamp()]
            return redirect("accounts:join")
    form = _without_the_code(form)
    return render(request, "account/join_code.html", {"form": form}, status=status)


def _without_the_code(form: CodeForm) -> CodeForm:
    """A page does not repeat a secret, not even a wrong one."""
    form.data = {**form.data.dict(), "code": ""}  # type: ignore[attr-defined]
    return form


def _proved(request: HttpRequest) -> Invitation | None:
    held = request.session.get(_KEY)
    if not held or now().timestamp() - held[1] > PROVED_FOR.total_seconds():
        return None
    return Invitation.objects.select_related("team", "invited_by").filter(pk=UUID(held[0])).first()


def _refused(request: Any, invitation: Invitation, error: AtelierError) -> HttpResponse:
    context = {"invitation": invitation, "error": error, "kind": error.code.partition(".")[2]}
    if error.code == "invitation.member":
        context["team_url"] = True
    if error.code != "invitation.wrong_person":
        request.session.pop(_KEY, None)
    return render(request, "account/join_refused.html", context, status=error.status)


def _accept(request: Any, invitation: Invitation) -> HttpResponse:
    actions.accept_invitation(actor=request.actor, invitation=invitation)
    return _welcome(request, invitation)


def _accept_as_new(request: Any, invitation: Invitation, data: dict[str, Any]) -> HttpResponse:
    member = actions.accept_as_new(
        actor=request.actor,
        invitation=invitation,
        username=data["username"],
        password=data["password"],
        name=data["name"],
    )
    login(request, member.user, backend="django.contrib.auth.backends.ModelBackend")
    return _welcome(request, invitation)


def _welcome(request: Any, invitation: Invitation) -> HttpResponse:
    request.session.pop(_KEY, None)
    messages.success(request, f"Welcome to {invitation.team.name}.")
    return redirect("accounts:team", invitation.team.slug)
