"""Pages of the inbox, its settings, and what a person ticks off."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.access import require_user, visible_projects
from apps.accounts.actions import update_user
from apps.accounts.models import Project
from apps.accounts.pages import project_page, signed_in
from apps.accounts.states import Role
from apps.inbox import actions, mailing, queries
from apps.inbox.forms import PreferencesForm
from apps.inbox.states import Kind
from apps.jobs.access import get_visible_job
from foundation.errors import AtelierError
from foundation.ui.forms import add_error
from foundation.ui.listing import list_page

FILTERS = ("unread", "kind", "project", "q")


def _filters(given: Any) -> dict[str, str]:
    """The filters of the address; a kind that does not exist is left aside."""
    found = {name: given.get(name, "").strip() for name in FILTERS}
    return {**found, "kind": found["kind"] if found["kind"] in Kind.values else ""}


@require_GET
@signed_in
@never_cache
def inbox(request: Any) -> HttpResponse:
    """What happened, newest first; ?unread=true, ?kind=, ?project=, ?q=."""
    asked = _filters(request.GET)
    rows = queries.inbox(request.actor, **asked).select_related("project")
    context = {
        "listing": list_page(request, rows, orders={"created": "created_at"}, default="-created"),
        "asked": asked,
        "kinds": Kind.choices,
        "projects": visible_projects(request.actor).distinct().order_by("name")[:200],
    }
    return render(request, "inbox/inbox.html", context)


@signed_in
@require_POST
def inbox_mark(request: Any) -> HttpResponse:
    """verb=read or unread for the chosen ones, verb=all for everything that fits the filters of the page."""
    verb = request.POST.get("verb", "")
    if verb == "all":
        count = actions.mark(actor=request.actor, read=True, **_filters(request.POST))
    else:
        count = actions.mark(actor=request.actor, read=verb != "unread", ids=request.POST.getlist("id"))
    if verb == "all":
        messages.success(request, f"{count} marked as read." if count else "Everything was read already.")
    return redirect(_back(request))


def _back(request: Any) -> str:
    """The page that asked, when it is one of ours."""
    wanted = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if ours else reverse("inbox:inbox")


@require_GET
@signed_in
@never_cache
def inbox_open(request: Any, notification: UUID) -> HttpResponse:
    """To what a notification is about; it counts as read from then on."""
    found = queries.get_notification(request.actor, notification)
    actions.mark(actor=request.actor, read=True, ids=[found.pk])
    return redirect(found.url)


@signed_in
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: Any) -> HttpResponse:
    """The e-mail address, and how to hear of each kind of news."""
    user = require_user(request.actor)
    chosen = {kind.value: channel.value for kind, channel in queries.channels_of(user).items()}
    initial = {"email": user.email, **chosen}
    works = queries.mail_works()
    form = PreferencesForm(
        request.POST if request.method == "POST" else None, initial=initial, mail_works=works
    )
    if request.method == "POST" and form.is_valid():
        try:
            if form.cleaned_data["email"] != user.email:
                update_user(actor=request.actor, user=user, email=form.cleaned_data["email"])
            actions.choose_channels(actor=request.actor, channels=form.channels())
        except AtelierError as error:
            add_error(form, error)
        else:
            messages.success(request, "Saved.")
            return redirect("inbox:preferences")
    context = {"form": form, "mail_works": works, "last": queries.last_message(user)}
    return render(request, "inbox/preferences.html", context, status=422 if form.is_bound else 200)


@signed_in
@require_POST
def send_test(request: Any) -> HttpResponse:
    """Send a message to the own address, to see that it arrives."""
    try:
        message = mailing.send_test(actor=request.actor)
    except AtelierError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"A test message to {message.to} is on its way.")
    return redirect("inbox:preferences")


@project_page(write=Role.VIEWER)
@require_POST
def job_watch(request: Any, project: Project, job: UUID) -> HttpResponse:
    """Tell me when the job ends (wanted=1), or do not (wanted=)."""
    found = get_visible_job(request.actor, project, job)
    wanted = bool(request.POST.get("wanted"))
    try:
        actions.watch_job(actor=request.actor, job=found, wanted=wanted)
    except AtelierError as error:
        messages.info(request, error.message)
    else:
        messages.success(
            request, "You will find a note in your inbox when it ends." if wanted else "You will not be told."
        )
    return redirect(_back(request))


@project_page(write=Role.VIEWER)
@require_POST
def onboarding_away(request: Any, project: Project) -> HttpResponse:
    """Put the list of first steps away, or fetch it again (away=)."""
    away = bool(request.POST.get("away", "1"))
    actions.put_onboarding_away(actor=request.actor, project=project, away=away)
    return redirect("home:project", project.slug)
