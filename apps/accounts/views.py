"""Sign-in and the own account with its tokens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import authenticate, login, logout, update_session_auth_hash
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import actions
from apps.accounts.access import visible_projects
from apps.accounts.authentication import actor_for_request, address_of
from apps.accounts.forms import PasswordForm, ProfileForm, SignInForm, TokenForm
from apps.accounts.pages import signed_in
from apps.accounts.queries import own_tokens
from foundation.clock import now
from foundation.errors import AtelierError, Forbidden, NotFound, TooMany
from foundation.ui.forms import add_error


def _next_page(request: HttpRequest) -> str:
    """Where to go after signing in: the page asked for, when it is one of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if ours else "/"


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The login page; too many failures are answered with 429 and a waiting time."""
    if request.user.is_authenticated and request.method != "POST":
        return redirect(_next_page(request))
    form = SignInForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        name, address = form.cleaned_data["username"], address_of(request)
        try:
            actions.begin_login(username=name, address=address)
        except TooMany as error:
            add_error(form, error)
            status = 429
        else:
            user: Any = authenticate(request, username=name, password=form.cleaned_data["password"])
            if user is not None and user.one_time_until is not None and user.one_time_until <= now():
                form.add_error(
                    None, "This one-time password has expired. An owner of your team can give you another."
                )
                status = 422
            elif user is not None and not user.is_service:
                actions.clear_login_failures(username=name, address=address)
                login(request, user)
                return redirect("accounts:password" if user.one_time_until else _next_page(request))
            else:
                form.add_error(None, "This name and password do not belong together.")
                status = 422
    elif request.method == "POST":
        status = 422
    return render(request, "account/login.html", {"form": form, "next": _next_page(request)}, status=status)


def staff_sign_in(request: HttpRequest) -> HttpResponse:
    """In place of the administration's own login, which would count no attempts."""
    if not request.user.is_authenticated:
        return redirect_to_login(_next_page(request))
    if not request.user.is_staff:
        raise Forbidden("staff.only", "The administration is for staff; the studio's pages are yours.")
    return redirect(_next_page(request))


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("accounts:login")


@signed_in
@never_cache
def account(request: Any) -> HttpResponse:
    """The own account: profile, teams and tokens; a POST makes a token, whose secret is shown once."""
    projects = visible_projects(request.actor).distinct().order_by("name")
    form = TokenForm(request.POST or None, projects=projects)
    secret, status = None, 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                _, secret = actions.create_token(actor=request.actor, user=request.user, **form.cleaned_data)
            except AtelierError as error:
                add_error(form, error)
                status = error.status
            else:
                status = 201
                form = TokenForm(projects=projects)
    context = {
        "form": form,
        "secret": secret,
        "tokens": own_tokens(request.user),
        "now": now(),
        "memberships": request.user.memberships.select_related("team").order_by("team__name"),
        "open_form": form.is_bound or "new" in request.GET,
    }
    return render(request, "account/account.html", context, status=status)


@signed_in
@require_POST
def token_revoke(request: Any, token: UUID) -> HttpResponse:
    """End one of the own tokens."""
    found = own_tokens(request.user).filter(pk=token).first()
    if found is None:
        raise NotFound("token.not_found", "There is no such token, or it is not yours.")
    actions.revoke_token(actor=request.actor, token=found)
    messages.success(request, f"The token {found.name} is revoked.")
    return redirect("accounts:account")


@signed_in
def profile(request: Any) -> HttpResponse:
    """Change the name that others see and the address."""
    initial = {"name": request.user.get_full_name(), "email": request.user.email}
    form = ProfileForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            actions.update_user(actor=request.actor, user=request.user, **form.cleaned_data)
        except AtelierError as error:
            add_error(form, error)
        else:
            messages.success(request, "Your profile is saved.")
            return redirect("accounts:account")
    return render(request, "account/profile.html", {"form": form}, status=422 if form.is_bound else 200)


@signed_in
@require_POST
def sign_out_everywhere(request: Any) -> HttpResponse:
    """End all sessions of the account, this one too."""
    actions.sign_out_everywhere(actor=request.actor, user=request.user)
    logout(request)
    messages.success(request, "You are signed out everywhere.")
    return redirect("accounts:login")


@sensitive_post_parameters()
@never_cache
def password(request: Any) -> HttpResponse:
    """Change the own password; other sessions end. With a one-time password this is the only page."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.path)
    form = PasswordForm(request.POST or None)
    status = 422 if form.is_bound else 200
    if form.is_bound and form.is_valid():
        try:
            actions.change_password(
                actor=actor_for_request(request),
                user=request.user,
                old=form.cleaned_data["old_password"],
                new=form.cleaned_data["new_password1"],
            )
        except AtelierError as error:
            names = {"old": "old_password", "new": "new_password1"}
            form.add_error(names.get(error.detail.get("field", "")), error.message)
            status = error.status
        else:
            update_session_auth_hash(request, request.user)
            messages.success(request, "Your password is changed. Other sessions have to sign in again.")
            return redirect("accounts:account" if request.actor.is_authenticated else _next_page(request))
    must = request.user.one_time_until is not None
    return render(request, "account/password.html", {"form": form, "must_change": must}, status=status)
