"""HTML pages: parse, one domain call, render."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.accounts.states import Role
from apps.accounts.trash import name_trashers, trash_page
from apps.deployments import actions, feedback, pages, queries, tryit
from apps.deployments.access import get_deployment, get_trashed_deployment
from apps.deployments.forms import ChangeForm, DeployForm, EditForm, LabelsForm, as_value
from apps.deployments.logs import read_log, tail_offset
from apps.deployments.models import Deployment
from foundation.api import request_id_of
from foundation.errors import AtelierError, NotFound
from foundation.ui.forms import add_error
from foundation.ui.toasts import say_with_undo

MAINTAINER = Role.MAINTAINER


def _page(
    request: HttpRequest, deployment: Deployment, template: str, status: int = 200, **more: Any
) -> HttpResponse:
    page = pages.DeploymentPage.build(request, deployment)
    return render(
        request,
        f"deployments/{template}.html",
        {"page": page, "deployment": deployment, **more},
        status=status,
    )


@project_page()
@require_GET
def deployment_list(request: HttpRequest, project: Project) -> HttpResponse:
    """All deployments of the project; ?fragment: the table alone."""
    page = pages.DeploymentsPage.build(request, project)
    template = "deployments/_table.html" if "fragment" in request.GET else "deployments/list.html"
    return render(request, template, {"page": page, "listing": page.listing})


@project_page(write=MAINTAINER)
@require_http_methods(["GET", "POST"])
def deployment_new(request: HttpRequest, project: Project) -> HttpResponse:
    """The form of a new deployment; ?model=churn/7 fills it in."""
    if request.method == "POST":
        form = DeployForm(request.POST, project=project)
        if form.is_valid():
            try:
                made = actions.create_deployment(
                    actor=request.actor,  # type: ignore[attr-defined]
                    project=project,
                    **form.cleaned_data,
                )
                return redirect("deployments:detail", project=project.slug, name=made.name)
            except AtelierError as error:
                add_error(form, error)
        return render(request, "deployments/new.html", {"form": form}, status=422)
    model = request.GET.get("model", "")
    name = queries.free_name(project, model.partition("@")[0].partition("/")[0])
    form = DeployForm(project=project, initial={"model": model, "name": name})
    return render(request, "deployments/new.html", {"form": form, "model": model})


@project_page()
@require_GET
def deployment_detail(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """Overview; ?fragment=status, facts, live or call: the parts that refresh themselves."""
    try:
        deployment = get_deployment(project, name)
    except NotFound:
        return _in_trash(request, project, get_trashed_deployment(project, name))
    fragment = request.GET.get("fragment")
    if fragment in ("status", "facts", "live"):
        return _page(request, deployment, f"_{fragment}")
    snippets = pages.Snippets.build(request.build_absolute_uri(deployment.predict_path), deployment)
    if fragment == "call":
        return _page(request, deployment, "_call", snippets=snippets)
    return _page(
        request,
        deployment,
        "overview",
        snippets=snippets,
        change_form=ChangeForm(project=project, initial={"model": deployment.model_ref}),
    )


def _in_trash(request: HttpRequest, project: Project, deployment: Deployment) -> HttpResponse:
    name_trashers(project, [deployment], "deployment.trash")
    return trash_page(
        request,
        deployment,
        title=deployment.name,
        kind="deployment",
        listing=("Deployments", reverse("deployments:list", args=[project.slug])),
        restore_url=reverse("deployments:verb", args=[project.slug, deployment.name, "restore"]),
        may_restore=request.can_maintain,  # type: ignore[attr-defined]
        keeps="Its recorded inferences come back with it; it is stopped until somebody starts it.",
    )


@project_page(write=MAINTAINER)
@require_POST
def deployment_verb(request: HttpRequest, project: Project, name: str, verb: str) -> HttpResponse:
    """Start, stop, to the trash, or back."""
    actor = request.actor  # type: ignore[attr-defined]
    deployment = (get_trashed_deployment if verb == "restore" else get_deployment)(project, name)
    if verb == "trash":
        actions.trash_deployment(actor=actor, deployment=deployment)
        undo = reverse("deployments:verb", args=[project.slug, deployment.name, "restore"])
        say_with_undo(request, f"{deployment.name} moved to the trash; it answers no more.", undo)
        return redirect("deployments:list", project=project.slug)
    act = {
        "start": actions.start_deployment,
        "stop": actions.stop_deployment,
        "restore": actions.restore_deployment,
    }[verb]
    try:
        act(actor=actor, deployment=deployment)
        if verb == "restore":
            messages.success(request, f"{deployment.name} is back, stopped. Start it to answer again.")
    except AtelierError as error:
        messages.error(request, error.message)
        if verb == "restore":
            return redirect("deployments:list", project=project.slug)
    return redirect("deployments:detail", project=project.slug, name=deployment.name)


@project_page(write=MAINTAINER)
@require_POST
def deployment_change(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """Deploy another version, blue/green."""
    deployment = get_deployment(project, name)
    form = ChangeForm(request.POST, project=project)
    if form.is_valid():
        try:
            revision = actions.deploy_version(
                actor=request.actor,  # type: ignore[attr-defined]
                deployment=deployment,
                model=form.cleaned_data["model"],
            )
            messages.success(request, f"Revision {revision.number} ({revision.model_label}) is being built.")
            return redirect("deployments:detail", project=project.slug, name=name)
        except AtelierError as error:
            add_error(form, error)
    url = request.build_absolute_uri(deployment.predict_path)
    snippets = pages.Snippets.build(url, deployment)
    return _page(request, deployment, "overview", 422, snippets=snippets, change_form=form)


@project_page(write=MAINTAINER)
@require_http_methods(["GET", "POST"])
def deployment_edit(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """Rename or describe."""
    deployment = get_deployment(project, name)
    if request.method == "POST":
        form = EditForm(request.POST)
        if form.is_valid():
            try:
                updated = actions.update_deployment(
                    actor=request.actor,  # type: ignore[attr-defined]
                    deployment=deployment,
                    **form.cleaned_data,
                )
                return redirect("deployments:detail", project=project.slug, name=updated.name)
            except AtelierError as error:
                add_error(form, error)
        return render(request, "deployments/edit.html", {"form": form, "deployment": deployment}, status=422)
    form = EditForm(initial={"name": deployment.name, "description": deployment.description})
    return render(request, "deployments/edit.html", {"form": form, "deployment": deployment})


@project_page()
@require_http_methods(["GET", "POST"])
def deployment_try(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """The form of the model's columns; POST predicts and shows the answer."""
    deployment = get_deployment(project, name)
    answer, problem, status = None, None, 200
    form = tryit.make_form(deployment, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form is not None:
        status = 422
        if form.is_valid():
            try:
                answer = tryit.predict_once(deployment, form.record(), request_id=request_id_of(request))
                status = 200
            except AtelierError as error:
                problem, status = error, error.status
    if getattr(request, "htmx", False) and request.method == "POST":
        context = {"form": form, "answer": answer, "problem": problem, "deployment": deployment}
        return render(request, "deployments/_try.html", context)
    return _page(request, deployment, "try", status, form=form, answer=answer, problem=problem)


@project_page()
@require_GET
def inference_list(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """Recorded inferences, newest first."""
    deployment = get_deployment(project, name)
    return _page(request, deployment, "inferences", found=pages.InferencesPage.build(request, deployment))


@project_page()
@require_http_methods(["GET", "POST"])
def inference_detail(request: HttpRequest, project: Project, name: str, inference: str) -> HttpResponse:
    """One inference; POST labels it."""
    deployment = get_deployment(project, name)
    try:
        record = queries.get_inference(deployment, UUID(inference))
    except ValueError:
        record = None
    if record is None:
        raise NotFound("inference.not_found", "This deployment has recorded no such inference.")
    problem, status = None, 200
    if request.method == "POST":
        entry = {"inference_id": inference, "value": as_value(request.POST.get("value", "").strip())}
        try:
            feedback.add_labels(actor=request.actor, deployment=deployment, labels=[entry])  # type: ignore[attr-defined]
            return redirect("deployments:inference", project=project.slug, name=name, inference=inference)
        except AtelierError as error:
            problem, status = error, error.status
    bundle = queries.signature_of(deployment)
    chances = list(zip(bundle.get("classes", ()), record.probabilities or (), strict=False))
    return _page(
        request,
        deployment,
        "inference",
        status,
        record=record,
        problem=problem,
        classes=bundle.get("classes", ()) if bundle.get("task") == "classification" else (),
        chances=sorted(chances, key=lambda chance: -chance[1]),
    )


@project_page()
@require_GET
def feedback_page(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """Labels and past events: the forms, and the imports so far."""
    deployment = get_deployment(project, name)
    fragment = request.GET.get("fragment") == "imports"
    return _feedback(request, deployment, LabelsForm(), template="_imports" if fragment else "feedback")


def _feedback(
    request: HttpRequest,
    deployment: Deployment,
    form: LabelsForm,
    *,
    status: int = 200,
    template: str = "feedback",
    problem: Any = None,
) -> HttpResponse:
    imports = queries.imports_of(deployment)
    return _page(
        request,
        deployment,
        template,
        status,
        form=form,
        imports=imports,
        importing=any(record.state == "importing" for record in imports),
        labelled=deployment.labels.count(),
        problem=problem,
        problem_code=request.GET.get("problem", ""),
        columns=queries.signature_of(deployment).get("columns", ()),
        example_id=next((i.id for i in queries.list_inferences(deployment, limit=1).items), None),
    )


@project_page()
@require_POST
def labels_add(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """Store the labels of the form."""
    deployment = get_deployment(project, name)
    form = LabelsForm(request.POST)
    if form.is_valid():
        try:
            stored = feedback.add_labels(
                actor=request.actor,  # type: ignore[attr-defined]
                deployment=deployment,
                labels=form.entries(),
            )
            messages.success(request, f"{stored} label{'s' if stored != 1 else ''} stored.")
            return redirect("deployments:feedback", project=project.slug, name=name)
        except AtelierError as error:
            form.add_error("labels", error.message)
    return _feedback(request, deployment, form, status=422)


@project_page()
@require_http_methods(["GET", "POST"])
def events_import(request: HttpRequest, project: Project, name: str) -> HttpResponseBase:
    """Take the uploaded file of past events."""
    from apps.datasets.uploads import staged_file

    deployment = get_deployment(project, name)
    if request.method == "GET":
        return feedback_page(request, project=project.slug, name=name)
    try:
        staged = staged_file(request, "file")
        record, _ = feedback.import_events(actor=request.actor, deployment=deployment, staged=staged)  # type: ignore[attr-defined]
    except AtelierError as error:
        return _feedback(request, deployment, LabelsForm(), status=error.status, problem=error)
    messages.success(request, f"{record.filename} is being read in.")
    return redirect("deployments:feedback", project=project.slug, name=name)


@project_page()
@require_GET
def log_page(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """What the model processes wrote."""
    deployment = get_deployment(project, name)
    part = read_log(deployment, tail_offset(deployment))
    return _page(request, deployment, "logs", log=part)


@project_page()
@require_GET
def log_text(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """The log from ?offset= on, as text."""
    deployment = get_deployment(project, name)
    raw = request.GET.get("offset", "0")
    part = read_log(deployment, int(raw) if raw.isascii() and raw.isdigit() else 0)
    response = HttpResponse(part.text, content_type="text/plain; charset=utf-8")
    response["X-Next-Offset"] = str(part.next)
    response["X-Live"] = "1" if deployment.is_running else "0"
    return response
