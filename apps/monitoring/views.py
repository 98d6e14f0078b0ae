"""Pages of monitors. Each view parses, makes one domain call, and renders."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.accounts.trash import name_trashers, trash_page
from apps.deployments.access import get_deployment
from apps.deployments.queries import example_record, signature_of
from apps.jobs.models import Job
from apps.jobs.queries import job_summary
from apps.jobs.schedules.queries import schedules_of, views_of
from apps.monitoring import actions, queries
from apps.monitoring.access import get_alert, get_monitor, get_report
from apps.monitoring.forms import MonitorForm, PeriodForm, SettingsForm
from apps.monitoring.models import Monitor
from apps.monitoring.pages import monitor_page, nodes_of, usual_period
from apps.monitoring.sandbox.rules import Rules
from apps.monitoring.schedules import KIND
from apps.monitoring.states import AlertState
from apps.monitoring.subject import origin_of
from apps.monitoring.windows import get_zone
from foundation.errors import AtelierError, NotFound
from foundation.ui.listing import list_page
from foundation.ui.toasts import say_with_undo

ORDERS = {"name": "name", "created": "created_at", "alerts": "standing", "report": "last_at"}
SNIPPET = """curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
  -d '{"name": "watch", "deployment": "NAME", "window": "1d"}' \\
  """


def _actor(request: HttpRequest) -> Any:
    return request.actor  # type: ignore[attr-defined]  # set by the middleware


def _api(request: HttpRequest, project: Project) -> str:
    return request.build_absolute_uri(f"/api/v1/projects/{project.slug}")


@require_GET
@project_page()
def monitor_list(request: HttpRequest, project: Project) -> HttpResponse:
    """All monitors of the project, or (`?trashed=1`) those in the trash."""
    trashed = request.GET.get("trashed") == "1"
    rows = queries.monitors_of(project, q=request.GET.get("q", "").strip(), trashed=trashed)
    listing = list_page(request, rows, orders=ORDERS, default="name")
    if trashed:
        name_trashers(project, listing.rows, "monitor.trash")
    for monitor in listing.rows:
        monitor.word = queries.word_for(monitor)
    snippet = SNIPPET + _api(request, project) + "/monitors"
    context = {"listing": listing, "trashed": trashed, "snippet": snippet}
    return render(request, "monitoring/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def monitor_new(request: HttpRequest, project: Project) -> HttpResponse:
    """The form of a new monitor, filled from ?deployment= as well as can be."""
    form = MonitorForm(request.POST or None, project=project, initial=_proposal(request, project))
    if request.method == "POST" and form.is_valid():
        try:
            monitor = actions.create_monitor(actor=_actor(request), project=project, **form.values())
        except AtelierError as error:
            form.add_error(_field_of(error), error.message)
        else:
            messages.success(
                request, f"{monitor.name} watches {monitor.subject_name}. Now compute its first report."
            )
            return redirect(monitor)
    ready = bool(form.fields["subject"].choices and form.fields["baseline"].choices)  # type: ignore[attr-defined]
    status = 422 if request.method == "POST" else 200
    return render(request, "monitoring/new.html", {"form": form, "ready": ready}, status=status)


def _proposal(request: HttpRequest, project: Project) -> dict[str, str]:
    """Good values for a monitor of the deployment in the URL: its name, and what its model was trained on."""
    name = request.GET.get("deployment", "")
    try:
        deployment = get_deployment(project, name) if name else None
    except NotFound:
        deployment = None
    if deployment is None:
        return {}
    baseline = origin_of(deployment).baseline
    return {
        "subject": f"deployment:{deployment.name}",
        "name": deployment.name,
        "baseline": baseline.label if baseline else "",
    }


def _field_of(error: AtelierError) -> str | None:
    return {
        "name.invalid": "name",
        "monitor.duplicate": "name",
        "monitor.baseline": "baseline",
        "monitor.columns": "baseline",
        "monitor.window": "window",
        "monitor.thresholds": "feature_thresholds",
    }.get(error.code)


@require_GET
@project_page()
def monitor_detail(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """The drift table of one window, distributions, drift and performance over time; ?fragment: its live part."""
    try:
        monitor = get_monitor(project, name)
    except NotFound:
        return _in_trash(request, project, get_monitor(project, name, trashed=True))
    context = _context(request, monitor)
    schedules = schedules_of(project, kind=KIND, subject_id=monitor.pk)
    context["schedules"] = views_of(schedules, times=1)
    template = "_content" if "fragment" in request.GET else "detail"
    return render(request, f"monitoring/{template}.html", context)


def _context(request: HttpRequest, monitor: Monitor) -> dict[str, Any]:
    asked = request.GET
    page = monitor_page(
        monitor,
        wanted=asked.get("window", ""),
        feature=asked.get("feature", ""),
        order=asked.get("order_by", ""),
    )
    context = {"page": page, "monitor": monitor, "form": _period_form(monitor)}
    if monitor.deployment is not None:
        body = json.dumps({"records": [example_record(signature_of(monitor.deployment))]})
        predict = request.build_absolute_uri(monitor.deployment.predict_path)
        context["predict_snippet"] = f"""curl -H "Authorization: Bearer $TOKEN" \\
  -d '{body}' \\
  {predict}"""
    return context


def _period_form(monitor: Monitor) -> PeriodForm:
    first, last = usual_period(monitor)
    return PeriodForm(initial={"start": first.isoformat(), "end": last.isoformat()})


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def report_list(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """All reports of a monitor; POST asks for a new one."""
    monitor = get_monitor(project, name)
    form = _period_form(monitor)
    if request.method == "POST":
        form = PeriodForm(request.POST)
        if form.is_valid():
            zone = get_zone(project.timezone)
            try:
                actions.request_report(actor=_actor(request), monitor=monitor, **form.period(zone))
            except AtelierError as error:
                form.add_error(None, error.message)
            else:
                return redirect(monitor)
    listing = list_page(
        request,
        queries.reports_of(monitor),
        orders={"created": "created_at", "rows": "rows"},
        default="-created",
    )
    context = {"monitor": monitor, "nodes": nodes_of(monitor), "listing": listing, "form": form}
    context["state"] = actions.state_of(monitor)
    return render(
        request, "monitoring/reports.html", context, status=422 if request.method == "POST" else 200
    )


@require_GET
@project_page()
def report_detail(request: HttpRequest, project: Project, name: str, report: str) -> HttpResponse:
    """One report: its state, its settings, its windows."""
    monitor = get_monitor(project, name)
    found = get_report(monitor, report)
    job = Job.objects.filter(pk=found.job_id).first() if found.job_id else None
    windows = [
        {
            "window": window,
            "drifted": [entry["name"] for entry in window.data["features"] if entry["drifted"]],
            "leader": next(iter(queries.drift_table(window)), None),
        }
        for window in found.windows.all()
    ]
    context = {"monitor": monitor, "report": found, "windows": windows, "nodes": nodes_of(monitor)}
    return render(request, "monitoring/report.html", context | {"job": job_summary(job) if job else None})


@require_GET
@project_page()
def alert_list(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """The alerts of a monitor."""
    monitor = get_monitor(project, name)
    state = request.GET.get("state", "")
    rows = queries.alerts_of(monitor, state=state if state in AlertState.values else "")
    listing = list_page(
        request, rows, orders={"window": "start", "drift": "value", "feature": "feature"}, default="-window"
    )
    context = {
        "monitor": monitor,
        "nodes": nodes_of(monitor),
        "listing": listing,
        "states": AlertState.choices,
    }
    return render(request, "monitoring/alerts.html", context | {"state": actions.state_of(monitor)})


@require_POST
@project_page()
def alert_move(request: HttpRequest, project: Project, name: str, alert: str, verb: str) -> HttpResponse:
    """Acknowledge or close an alert."""
    monitor = get_monitor(project, name)
    target = AlertState.ACKNOWLEDGED if verb == "acknowledge" else AlertState.CLOSED
    try:
        moved = actions.move_alert(actor=_actor(request), alert=get_alert(monitor, alert), to=target)
    except AtelierError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"Alert about {moved.feature} {moved.get_state_display().lower()}.")
    return redirect("monitoring:alerts", project.slug, monitor.name)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def monitor_settings(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """Name, description, thresholds, window and baseline."""
    monitor = get_monitor(project, name)
    rules = Rules.from_json(monitor.thresholds)
    initial = {
        "name": monitor.name,
        "baseline": monitor.baseline.label,
        "window": monitor.window,
        "threshold": rules.default,
        "min_rows": rules.min_rows,
        "feature_thresholds": "\n".join(f"{key} = {value:g}" for key, value in rules.features.items()),
        "description": monitor.description,
    }
    form = SettingsForm(request.POST or None, project=project, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            actions.update_monitor(actor=_actor(request), monitor=monitor, changes=form.values())
        except AtelierError as error:
            form.add_error(_field_of(error), error.message)
            monitor = get_monitor(project, name)
        else:
            messages.success(request, "Saved. The next report uses these settings.")
            return redirect(reverse("monitoring:settings", args=[project.slug, monitor.name]))
    context = {
        "monitor": monitor,
        "form": form,
        "nodes": nodes_of(monitor),
        "state": actions.state_of(monitor),
    }
    return render(
        request, "monitoring/settings.html", context, status=422 if request.method == "POST" else 200
    )


@require_POST
@project_page()
def monitor_verb(request: HttpRequest, project: Project, name: str, verb: str) -> HttpResponse:
    """Move the monitor to the trash, or bring it back."""
    monitor = get_monitor(project, name, trashed=verb == "restore")
    if verb == "trash":
        actions.trash_monitor(actor=_actor(request), monitor=monitor)
        undo = reverse("monitoring:verb", args=[project.slug, monitor.name, "restore"])
        say_with_undo(request, f"{monitor.name} moved to the trash.", undo)
        return redirect("monitoring:list", project.slug)
    try:
        actions.restore_monitor(actor=_actor(request), monitor=monitor)
    except AtelierError as error:
        messages.error(request, error.message)
        return redirect("monitoring:list", project.slug)
    messages.success(request, f"{monitor.name} is back with its reports and alerts.")
    return redirect(monitor)


def _in_trash(request: HttpRequest, project: Project, monitor: Monitor) -> HttpResponse:
    name_trashers(project, [monitor], "monitor.trash")
    return trash_page(
        request,
        monitor,
        title=monitor.name,
        kind="monitor",
        listing=("Monitors", reverse("monitoring:list", args=[project.slug])),
        restore_url=reverse("monitoring:verb", args=[project.slug, monitor.name, "restore"]),
        may_restore=request.can_edit,  # type: ignore[attr-defined]
        keeps="Its reports and alerts come back with it; what it watches goes on meanwhile.",
    )
