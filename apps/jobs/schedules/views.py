"""Pages of schedules: all of a project, one with what came of it, and its form."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.actions import check_timezone
from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.jobs.schedules import actions, queries
from apps.jobs.schedules.access import get_schedule
from apps.jobs.schedules.cron import check_cron
from apps.jobs.schedules.forms import PREFIX, ScheduleForm, initial_of, timezones
from apps.jobs.schedules.models import Schedule
from apps.jobs.schedules.registry import Kind, Subject, kind_of_noun
from foundation.errors import AtelierError, NotFound
from foundation.ui.listing import list_page

SHOWN_FIRINGS = 50
#: the values of these may come in the address of a new schedule, to look at its times before it exists
PROPOSED = ("often", "at", "weekday", "cron", "timezone")


def _actor(request: HttpRequest) -> Any:
    return request.actor  # type: ignore[attr-defined]  # set by the middleware


@require_GET
@project_page()
def schedule_list(request: HttpRequest, project: Project) -> HttpResponse:
    """All schedules of the project, the next one first."""
    listing = list_page(
        request,
        queries.schedules_of(project),
        orders={"next": "next_due", "created": "created_at"},
        default="next",
    )
    context = {"listing": listing, "schedules": queries.views_of(listing.rows, times=1)}
    return render(request, "jobs/schedules.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def schedule_new(request: HttpRequest, project: Project, noun: str, name: str) -> HttpResponse:
    """The form of a new schedule for one thing."""
    kind = kind_of_noun(noun)
    if kind is None:
        raise NotFound("schedule.subject", f"A {noun} cannot be scheduled.")
    subject = kind.handler.find(project, name)
    initial = {"timezone": project.timezone} | {
        key: request.GET[key] for key in PROPOSED if request.GET.get(key)
    }
    form = ScheduleForm(request.POST or None, extra=kind.handler.fields(subject.key), initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            schedule = actions.create_schedule(
                actor=_actor(request), project=project, kind=kind, subject=name, **form.values()
            )
        except AtelierError as error:
            form.add_error(_field_of(error, form), error.message)
        else:
            messages.success(request, f"{subject.name} is scheduled.")
            return redirect(schedule)
    return _form_page(request, form, kind, subject)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def schedule_edit(request: HttpRequest, project: Project, schedule: uuid.UUID) -> HttpResponse:
    """The form of a schedule that exists."""
    found = get_schedule(project, schedule)
    view = queries.views_of([found])[0]
    if view.subject is None:
        messages.error(request, f"The {view.noun} is in the trash; restore it to change the schedule.")
        return redirect(found)
    kind = actions.kind_of(found)
    initial = initial_of(found) | {key: request.GET[key] for key in PROPOSED if request.GET.get(key)}
    form = ScheduleForm(request.POST or None, extra=kind.handler.fields(found.subject_id), initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            actions.update_schedule(actor=_actor(request), schedule=found, changes=form.values())
        except AtelierError as error:
            form.add_error(_field_of(error, form), error.message)
        else:
            messages.success(request, "The schedule is changed; it now acts in your name.")
            return redirect(found)
    return _form_page(request, form, kind, view.subject, found)


def _field_of(error: AtelierError, form: ScheduleForm) -> str | None:
    field = str(error.detail.get("field", ""))
    if field == "cron" and form.cleaned_data.get("often") != "cron":
        return "often"
    return next((name for name in (field, PREFIX + field) if name in form.fields), None)


def _form_page(
    request: HttpRequest, form: ScheduleForm, kind: Kind, subject: Subject, schedule: Schedule | None = None
) -> HttpResponse:
    context = {
        "form": form,
        "kind": kind,
        "subject": subject,
        "schedule": schedule,
        "timezones": timezones(),
        **_preview(form),
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "jobs/schedule_form.html", context, status=status)


def _preview(form: ScheduleForm) -> dict[str, Any]:
    """The next times of what the form says now, or the sentence that is wrong with it."""
    source = form.data if form.is_bound else None
    values = {name: source.get(name, "") if source is not None else form.get_initial_for_field(field, name)
              for name, field in form.fields.items() if name in PROPOSED}  # fmt: skip
    probe = ScheduleForm(values, extra={})
    if not probe.is_valid():
        return {"times": [], "wrong": next(iter(probe.errors.values()))[0]}
    try:
        cron = check_cron(probe.expression())
        zone = check_timezone(probe.cleaned_data["timezone"])
    except AtelierError as error:
        return {"times": [], "wrong": error.message}
    return {"times": queries.shown_times(cron, zone), "zone": zone, "cron": cron}


@require_GET
@project_page()
def schedule_preview(request: HttpRequest, project: Project) -> HttpResponse:
    """The next times of what stands in the form, as a fragment."""
    form = ScheduleForm(request.GET, extra={})
    return render(request, "jobs/_times.html", _preview(form))


@require_GET
@project_page()
def schedule_detail(request: HttpRequest, project: Project, schedule: uuid.UUID) -> HttpResponse:
    """One schedule: its next times, and what came of those before."""
    found = get_schedule(project, schedule)
    view = queries.views_of([found])[0]
    context = {
        "view": view,
        "schedule": found,
        "times": view.times,
        "zone": found.timezone,
        "firings": list(found.firings.all()[:SHOWN_FIRINGS]),
    }
    return render(request, "jobs/schedule.html", context)


@require_POST
@project_page()
def schedule_switch(request: HttpRequest, project: Project, schedule: uuid.UUID) -> HttpResponse:
    """Switch it on or off."""
    found = get_schedule(project, schedule)
    try:
        changed = actions.update_schedule(
            actor=_actor(request), schedule=found, changes={"enabled": not found.enabled}
        )
    except AtelierError as error:
        messages.error(request, error.message)
    else:
        messages.success(
            request,
            "The schedule is on and acts in your name." if changed.enabled else "The schedule is off.",
        )
    return redirect(found)


@require_POST
@project_page()
def schedule_delete(request: HttpRequest, project: Project, schedule: uuid.UUID) -> HttpResponse:
    """Remove it."""
    found = get_schedule(project, schedule)
    view = queries.views_of([found])[0]
    actions.delete_schedule(actor=_actor(request), schedule=found)
    messages.success(request, "The schedule is deleted; what it started stays.")
    return redirect(view.subject.url) if view.subject else redirect("jobs:schedules", project.slug)
