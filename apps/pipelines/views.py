"""Pages of pipelines. Each view parses, makes one domain call, and renders."""

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
from apps.pipelines import actions, editing, pages, queries
from apps.pipelines.access import get_pipeline, get_pipeline_run, get_pipeline_version
from apps.pipelines.examples import examples_for
from apps.pipelines.forms import PREFIX, DefinitionForm, ParametersForm, SettingsForm
from apps.pipelines.models import Pipeline
from apps.pipelines.presenting import picture_of
from apps.pipelines.states import PipelineRunState
from foundation.errors import AtelierError, NotFound
from foundation.ui.fragments import render_live
from foundation.ui.listing import list_page
from foundation.ui.toasts import say_with_undo

ORDERS = {"name": "name", "created": "created_at", "last": "last_at", "runs": "n_runs"}
RUN_ORDERS = {"number": "number", "started": "started_at"}


def _actor(request: HttpRequest) -> Any:
    return request.actor  # type: ignore[attr-defined]  # set by the middleware


@require_GET
@project_page()
def pipeline_list(request: HttpRequest, project: Project) -> HttpResponse:
    """All pipelines of the project, or (`?trashed=1`) those in the trash."""
    trashed = request.GET.get("trashed") == "1"
    asked = {"q": request.GET.get("q", "").strip(), "state": request.GET.get("state", "")}
    listing = list_page(
        request, pages.listed(project, trashed=trashed, **asked), orders=ORDERS, default="name"
    )
    if trashed:
        name_trashers(project, listing.rows, "pipeline.trash")
    context: dict[str, Any] = {"listing": listing, "trashed": trashed, "states": pages.STATES}
    pages.with_next(list(listing.rows))
    if not listing.rows and not listing.filtered:
        first = examples_for(project)[0]
        address = request.build_absolute_uri(f"/api/v1/projects/{project.slug}/pipelines")
        context |= {
            "example": first,
            "check": editing.check_text(first.text),
            "snippet": f'curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\\n'
            f"  -d @pipeline.json \\\n  {address}",
        }
    return render(request, "pipelines/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def pipeline_new(request: HttpRequest, project: Project) -> HttpResponse:
    """The editor, with a definition to start from."""
    examples = examples_for(project)
    wanted = request.GET.get("from", "")
    chosen = next((example for example in examples if example.key == wanted), examples[0])
    text = chosen.text
    if request.method == "POST":
        text = request.POST.get("definition", "").replace("\r\n", "\n")
        if "check" not in request.POST:
            try:
                pipeline = actions.create_pipeline(actor=_actor(request), project=project, definition=text)
            except AtelierError as error:
                return _editor(request, text, error=error, examples=examples)
            messages.success(request, f"{pipeline.name} is there. Run it when you like.")
            return redirect(pipeline)
    return _editor(request, text, examples=examples, chosen=chosen.key)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def pipeline_edit(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """The editor with the newest definition, or an earlier one (`?version=2`)."""
    pipeline = get_pipeline(project, name)
    wanted = request.GET.get("version", "")
    version = get_pipeline_version(pipeline, wanted) if wanted else None
    text = editing.text_of(pipeline, version)
    if request.method == "POST":
        text = request.POST.get("definition", "").replace("\r\n", "\n")
        if "check" not in request.POST:
            before = pipeline.latest.number if pipeline.latest else 0
            try:
                actions.update_pipeline(actor=_actor(request), pipeline=pipeline, definition=text)
            except AtelierError as error:
                return _editor(request, text, error=error, pipeline=pipeline)
            number = pipeline.latest.number if pipeline.latest else 0
            messages.success(request, f"Saved as version {number}." if number != before else "Saved.")
            return redirect(pipeline)
    return _editor(request, text, pipeline=pipeline)


def _editor(
    request: HttpRequest, text: str, *, error: AtelierError | None = None, **context: Any
) -> HttpResponse:
    check = editing.check_text(text)
    if error is not None and not check.faults:  # a name that is taken, say
        check = editing.Check(editing.faults_of(error, text), check.picture, check.definition)
    form = DefinitionForm(initial={"definition": text})
    if check.faults:
        form.fields["definition"].widget.attrs["aria-invalid"] = "true"
    status = 422 if error is not None else 200
    return render(request, "pipelines/editor.html", {"form": form, "check": check, **context}, status=status)


@require_POST
@project_page()
def pipeline_validate(request: HttpRequest, project: Project) -> HttpResponse:
    """What is wrong with the text in the editor, or its picture, as a fragment."""
    text = request.POST.get("definition", "").replace("\r\n", "\n")
    return render(request, "pipelines/_check.html", {"check": editing.check_text(text)})


@require_GET
@project_page()
def pipeline_detail(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """The graph, the form of a run, the last runs, the schedules."""
    try:
        pipeline = get_pipeline(project, name)
    except NotFound:
        return _in_trash(request, project, get_pipeline(project, name, trashed=True))
    return _detail(request, pipeline)


def _detail(request: HttpRequest, pipeline: Pipeline, form: ParametersForm | None = None) -> HttpResponse:
    page = pages.overview_of(pipeline)
    definition = page.opened.definition
    if form is None and definition is not None:
        form = ParametersForm(definition=definition, project=pipeline.project)
    context = {"page": page, "pipeline": pipeline, "form": form}
    status = 422 if form is not None and form.is_bound else 200
    return render(request, "pipelines/detail.html", context, status=status)


@require_GET
@project_page()
def pipeline_live(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """The part of the page that changes while a run works."""
    pipeline = get_pipeline(project, name)
    page = pages.overview_of(pipeline, schedules=False)
    return render_live(request, "pipelines/_overview.html", {"page": page, "pipeline": pipeline})


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def run_list(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """All runs of a pipeline; POST starts one."""
    pipeline = get_pipeline(project, name)
    if request.method == "POST":
        return _start(request, pipeline)
    rows = pages.runs_listed(pipeline, state=request.GET.get("state", ""))
    listing = list_page(request, rows, orders=RUN_ORDERS, default="-number")
    states = [("live", "Working"), *PipelineRunState.choices]
    return render(
        request, "pipelines/runs.html", {"pipeline": pipeline, "listing": listing, "states": states}
    )


def _start(request: HttpRequest, pipeline: Pipeline) -> HttpResponse:
    opened = pages.open_version(pipeline, pipeline.latest)
    if opened.definition is None:
        messages.error(request, opened.problem)
        return redirect(pipeline)
    form = ParametersForm(request.POST, definition=opened.definition, project=pipeline.project)
    if not form.is_valid():
        return _detail(request, pipeline, form)
    try:
        run = actions.start_pipeline_run(actor=_actor(request), pipeline=pipeline, parameters=form.values())
    except AtelierError as error:
        field = PREFIX + str(error.detail.get("field", "")).removeprefix("parameters.")
        form.add_error(field if field in form.fields else None, error.message)
        return _detail(request, pipeline, form)
    return redirect(run)


@require_GET
@project_page()
def run_detail(request: HttpRequest, project: Project, name: str, number: int) -> HttpResponse:
    """One run: its graph with live states, and its nodes."""
    pipeline = get_pipeline(project, name)
    page = pages.run_page(get_pipeline_run(pipeline, number))
    return render(request, "pipelines/run.html", {"pipeline": pipeline, "page": page, "run": page.run})


@require_GET
@project_page()
def run_live(request: HttpRequest, project: Project, name: str, number: int) -> HttpResponse:
    """The part of a run's page that changes while it works."""
    pipeline = get_pipeline(project, name)
    page = pages.run_page(get_pipeline_run(pipeline, number))
    return render_live(request, "pipelines/_run.html", {"pipeline": pipeline, "page": page, "run": page.run})


@require_POST
@project_page()
def run_verb(request: HttpRequest, project: Project, name: str, number: str, verb: str) -> HttpResponse:
    """Cancel a run, or repeat it: from the failed node (as it was, or with the newest definition), or from the start."""
    pipeline = get_pipeline(project, name)
    run = get_pipeline_run(pipeline, number)
    since = "start" if verb == "again" else "failed"
    try:
        if verb == "cancel":
            actions.cancel_pipeline_run(actor=_actor(request), run=run)
        else:
            run = actions.rerun(actor=_actor(request), run=run, since=since, latest=verb == "newest")
    except AtelierError as error:
        messages.error(request, error.message)
    return redirect(run)


@require_GET
@project_page()
def version_list(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """The versions of the definition."""
    pipeline = get_pipeline(project, name)
    rows = queries.versions_of(pipeline)
    listing = list_page(request, rows, orders={"number": "number"}, default="-number")
    return render(request, "pipelines/versions.html", {"pipeline": pipeline, "listing": listing})


@require_GET
@project_page()
def version_detail(request: HttpRequest, project: Project, name: str, number: int) -> HttpResponse:
    """One version: its graph and its text."""
    pipeline = get_pipeline(project, name)
    version = get_pipeline_version(pipeline, number)
    opened = pages.open_version(pipeline, version)
    context = {"pipeline": pipeline, "version": version, "opened": opened, "text": version.source}
    if opened.definition is not None:
        context |= {"picture": picture_of(opened.definition), "steps": pages.steps_of(opened.definition)}
    return render(request, "pipelines/version.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def pipeline_settings(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """Name and description."""
    pipeline = get_pipeline(project, name)
    initial = {"name": pipeline.name, "description": pipeline.description}
    form = SettingsForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            actions.update_pipeline(actor=_actor(request), pipeline=pipeline, **form.cleaned_data)
        except AtelierError as error:
            form.add_error(
                "name" if error.code in ("name.invalid", "pipeline.duplicate") else None, error.message
            )
        else:
            messages.success(request, "Saved.")
            return redirect(pipeline)
    status = 422 if request.method == "POST" else 200
    return render(
        request,
        "pipelines/settings.html",
        {"pipeline": get_pipeline(project, name), "form": form},
        status=status,
    )


@require_POST
@project_page()
def pipeline_verb(request: HttpRequest, project: Project, name: str, verb: str) -> HttpResponse:
    """Into the trash, and out of it."""
    pipeline = get_pipeline(project, name, trashed=verb == "restore")
    try:
        if verb == "trash":
            actions.trash_pipeline(actor=_actor(request), pipeline=pipeline)
            undo = reverse("pipelines:verb", args=[project.slug, pipeline.name, "restore"])
            say_with_undo(request, f"{pipeline.name} moved to the trash.", undo)
            return redirect("pipelines:list", project.slug)
        actions.restore_pipeline(actor=_actor(request), pipeline=pipeline)
    except AtelierError as error:
        messages.error(request, error.message)
        return redirect("pipelines:list", project.slug) if verb == "restore" else redirect(pipeline)
    messages.success(request, f"{pipeline.name} is back with its runs.")
    return redirect(pipeline)


def _in_trash(request: HttpRequest, project: Project, pipeline: Pipeline) -> HttpResponse:
    name_trashers(project, [pipeline], "pipeline.trash")
    return trash_page(
        request,
        pipeline,
        title=pipeline.name,
        kind="pipeline",
        listing=("Pipelines", reverse("pipelines:list", args=[project.slug])),
        restore_url=reverse("pipelines:verb", args=[project.slug, pipeline.name, "restore"]),
        may_restore=request.can_edit,  # type: ignore[attr-defined]
        keeps="Its definitions and runs come back with it. Its schedules have switched themselves off meanwhile.",
    )
