"""HTML pages: parse, one domain call, render."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.experiments import actions, artifacts, pages
from apps.experiments.access import (
    get_editable_experiment,
    get_editable_run,
    get_visible_experiment,
    get_visible_run,
)
from apps.experiments.new_run import NewRun
from foundation.errors import AtelierError, NotFound


@project_page()
@require_GET
def experiment_list(request: HttpRequest, project: Project) -> HttpResponse:
    """All experiments of the project."""
    page = pages.ExperimentsPage.build(request, project)
    return render(request, "experiments/list.html", {"page": page})


@project_page()
@require_http_methods(["GET", "POST"])
def experiment_create(request: HttpRequest, project: Project) -> HttpResponse:
    """The form of a new experiment."""
    values, problem, status = {"name": "", "description": ""}, None, 200
    if request.method == "POST":
        values = {name: request.POST.get(name, "") for name in values}
        try:
            made = actions.create_experiment(actor=request.actor, project=project, **values)  # type: ignore[attr-defined]
            return redirect("experiments:experiment", project=project.slug, experiment=made.mlflow_id)
        except AtelierError as error:
            problem, status = error, error.status
    context = {
        "values": values,
        "problem": problem,
        "heading": "New experiment",
        "verb": "Create the experiment",
    }
    return render(request, "experiments/experiment_form.html", context, status=status)


@project_page()
@require_http_methods(["GET", "POST"])
def experiment_edit(request: HttpRequest, project: Project, experiment: int) -> HttpResponse:
    """Rename or describe an experiment."""
    found = get_visible_experiment(request.actor, project, str(experiment))  # type: ignore[attr-defined]
    values, problem, status = {"name": found.name, "description": found.description}, None, 200
    if request.method == "POST":
        values = {name: request.POST.get(name, "") for name in values}
        try:
            actions.update_experiment(actor=request.actor, experiment=found, **values)  # type: ignore[attr-defined]
            return redirect("experiments:experiment", project=project.slug, experiment=found.mlflow_id)
        except AtelierError as error:
            problem, status = error, error.status
    context = {
        "values": values,
        "problem": problem,
        "experiment": found,
        "heading": f"Edit {found.name}",
        "verb": "Save",
    }
    return render(request, "experiments/experiment_form.html", context, status=status)


@project_page()
@require_POST
def experiment_verb(request: HttpRequest, project: Project, experiment: str, verb: str) -> HttpResponse:
    """Move an experiment to the trash, or bring it back."""
    actor = request.actor  # type: ignore[attr-defined]
    found = get_editable_experiment(actor, project, experiment, trashed=verb == "restore")
    if verb == "restore":
        actions.restore_experiment(actor=actor, experiment=found)
        messages.success(request, f"{found.name} is back with its runs.")
        return redirect("experiments:experiment", project=project.slug, experiment=found.mlflow_id)
    actions.trash_experiment(actor=actor, experiment=found)
    messages.success(request, f"{found.name} and its runs are in the trash.")
    return redirect("experiments:list", project=project.slug)


def _run_table(request: HttpRequest, project: Project, experiment: Any) -> HttpResponse:
    table = pages.RunTable.build(request, project, experiment)
    fragment = "fragment" in request.GET
    template = "experiments/_table.html" if fragment else "experiments/runs.html"
    return render(request, template, {"page": table, "listing": table.listing, "experiment": experiment})


@project_page()
@require_GET
def experiment_page(request: HttpRequest, project: Project, experiment: int) -> HttpResponse:
    """One experiment: its runs."""
    found = get_visible_experiment(request.actor, project, str(experiment))  # type: ignore[attr-defined]
    return _run_table(request, project, found)


@project_page()
@require_GET
def run_list(request: HttpRequest, project: Project) -> HttpResponse:
    """All runs of the project."""
    return _run_table(request, project, None)


@project_page()
@require_http_methods(["GET", "POST"])
def run_new(request: HttpRequest, project: Project) -> HttpResponse:
    """The form of a new run; POST starts it."""
    page = NewRun.build(request, project)
    if request.method == "POST":
        run = page.start(request.actor)  # type: ignore[attr-defined]
        if run is not None:
            return redirect("experiments:run", project=project.slug, run=run.hex)
    status = 422 if page.problem else 200
    return render(request, "experiments/new_run.html", {"page": page}, status=status)


@project_page()
@require_GET
def run_new_target(request: HttpRequest, project: Project) -> HttpResponse:
    """Fragment: the targets and columns of the chosen dataset."""
    return render(request, "experiments/_new_target.html", {"page": NewRun.build(request, project)})


@project_page()
@require_GET
def run_new_parameters(request: HttpRequest, project: Project) -> HttpResponse:
    """Fragment: the parameters of the chosen algorithm."""
    return render(request, "experiments/_new_parameters.html", {"page": NewRun.build(request, project)})


@project_page()
@require_GET
def run_page(request: HttpRequest, project: Project, run: str, tab: str) -> HttpResponse:
    """One run on one of its tabs, or the live part of it."""
    actor = request.actor  # type: ignore[attr-defined]
    try:
        found = get_visible_run(actor, project, run)
    except NotFound:
        found = get_visible_run(actor, project, run, trashed=True)
    view = pages.RunView.build(request, found, tab)
    fragments = {"1": "experiments/_run_live.html", "actions": "experiments/_run_actions.html"}
    template = fragments.get(request.GET.get("fragment", ""), f"experiments/run_{tab}.html")
    return render(request, template, {"page": view, "run": found})


@project_page()
@require_GET
def run_download(request: HttpRequest, project: Project, run: str) -> HttpResponseBase:
    """One artifact (?path=) as a download."""
    found = get_visible_run(request.actor, project, run)  # type: ignore[attr-defined]
    return artifacts.download(found, request.GET.get("path", ""))


@project_page()
@require_http_methods(["GET", "POST"])
def run_edit(request: HttpRequest, project: Project, run: str) -> HttpResponse:
    """Rename or describe a run."""
    actor = request.actor  # type: ignore[attr-defined]
    found = get_visible_run(actor, project, run)
    values, problem, status = {"name": found.name, "description": found.description}, None, 200
    if request.method == "POST":
        values = {name: request.POST.get(name, "") for name in values}
        try:
            actions.update_run(actor=actor, run=found, name=values["name"], description=values["description"])
            return redirect("experiments:run", project=project.slug, run=found.hex)
        except AtelierError as error:
            problem, status = error, error.status
    context = {
        "values": values,
        "problem": problem,
        "run": found,
        "heading": f"Edit {found.name}",
        "verb": "Save",
    }
    return render(request, "experiments/experiment_form.html", context, status=status)


@project_page()
@require_POST
def run_verb(request: HttpRequest, project: Project, run: str, verb: str) -> HttpResponse:
    """Cancel a run, move it to the trash, or bring it back."""
    actor = request.actor  # type: ignore[attr-defined]
    found = get_editable_run(actor, project, run, trashed=verb == "restore")
    try:
        if verb == "cancel":
            actions.cancel_run(actor=actor, run=found)
            messages.info(
                request, f"{found.name} is {'asked to stop' if found.job else 'marked as cancelled'}."
            )
        elif verb == "restore":
            actions.restore_run(actor=actor, run=found)
            messages.success(request, f"{found.name} is back.")
        else:
            actions.trash_run(actor=actor, run=found)
            messages.success(request, f"{found.name} is in the trash.")
            return redirect(
                "experiments:experiment", project=project.slug, experiment=found.experiment.mlflow_id
            )
    except AtelierError as error:
        messages.error(request, error.message)
    return redirect("experiments:run", project=project.slug, run=found.hex)


@project_page()
@require_POST
def run_bulk(request: HttpRequest, project: Project) -> HttpResponse:
    """Compare the chosen runs, or move them to the trash; those that still work are left and named."""
    actor = request.actor  # type: ignore[attr-defined]
    if request.POST.get("verb") == "compare":
        chosen = QueryDict(mutable=True)
        chosen.setlist("run", request.POST.getlist("run")[:100])
        to = reverse("experiments:compare", kwargs={"project": project.slug})
        return redirect(f"{to}?{chosen.urlencode()}")
    done, left = 0, []
    for run_id in request.POST.getlist("run")[:100]:
        found = get_editable_run(actor, project, run_id)
        try:
            actions.trash_run(actor=actor, run=found)
            done += 1
        except AtelierError as error:
            left.append(error.message)
    if done:
        messages.success(request, f"{done} {'run is' if done == 1 else 'runs are'} in the trash.")
    for sentence in left:
        messages.error(request, sentence)
    experiment = request.POST.get("experiment", "")
    if experiment.isdigit():
        return redirect("experiments:experiment", project=project.slug, experiment=int(experiment))
    return redirect("experiments:runs", project=project.slug)


@project_page()
@require_GET
def run_compare(request: HttpRequest, project: Project) -> HttpResponse:
    """Up to ten runs side by side."""
    try:
        page = pages.ComparePage.build(request, project)
    except AtelierError as error:
        context = {"problem": error}
        return render(request, "experiments/compare_problem.html", context, status=error.status)
    return render(request, "experiments/compare.html", {"page": page})
