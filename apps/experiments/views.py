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
from apps.accounts.trash import name_trashers, trash_page
from apps.experiments import actions, artifacts, events, pages
from apps.experiments.access import (
    get_editable_experiment,
    get_editable_run,
    get_visible_experiment,
    get_visible_run,
)
from apps.experiments.models import Experiment
from apps.experiments.new_run import NewRun
from foundation.errors import AtelierError, NotFound
from foundation.events import publish
from foundation.ui.toasts import say_with_undo


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
    try:
        if verb == "trash":
            actions.trash_experiment(actor=actor, experiment=found)
            say_with_undo(
                request, f"{found.name} moved to the trash with its runs.", _undo_of(project, found)
            )
            return redirect("experiments:list", project=project.slug)
        actions.restore_experiment(actor=actor, experiment=found)
        messages.success(request, f"{found.name} is back with its runs.")
    except AtelierError as error:
        messages.error(request, error.message)
    return redirect("experiments:experiment", project=project.slug, experiment=found.mlflow_id)


def _run_table(request: HttpRequest, project: Project, experiment: Any) -> HttpResponse:
    table = pages.RunTable.build(request, project, experiment)
    fragment = "fragment" in request.GET
    template = "experiments/_table.html" if fragment else "experiments/runs.html"
    return render(request, template, {"page": table, "listing": table.listing, "experiment": experiment})


@project_page()
@require_GET
def experiment_page(request: HttpRequest, project: Project, experiment: int) -> HttpResponse:
    """One experiment: its runs."""
    actor = request.actor  # type: ignore[attr-defined]
    try:
        found = get_visible_experiment(actor, project, str(experiment))
    except NotFound:
        trashed = get_visible_experiment(actor, project, str(experiment), trashed=True)
        return _experiment_in_trash(request, project, trashed)
    return _run_table(request, project, found)


def _experiment_in_trash(request: HttpRequest, project: Project, experiment: Experiment) -> HttpResponse:
    name_trashers(project, [experiment], "experiment.trash")
    return trash_page(
        request,
        experiment,
        title=experiment.name,
        kind="experiment",
        listing=("Experiments", reverse("experiments:list", args=[project.slug])),
        restore_url=_undo_of(project, experiment),
        may_restore=request.can_edit,  # type: ignore[attr-defined]
        keeps="Its runs went with it and come back with it.",
    )


def _undo_of(project: Project, experiment: Experiment) -> str:
    return reverse("experiments:verb", args=[project.slug, experiment.mlflow_id, "restore"])


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
        name_trashers(project, [found], "run.trash", subject=lambda one: one.hex)
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
            undo = reverse("experiments:run-verb", args=[project.slug, found.hex, "restore"])
            say_with_undo(request, f"{found.name} moved to the trash.", undo)
            return redirect(
                "experiments:experiment", project=project.slug, experiment=found.experiment.mlflow_id
            )
    except AtelierError as error:
        messages.error(request, error.message)
    return redirect("experiments:run", project=project.slug, run=found.hex)


@project_page()
@require_POST
def run_bulk(request: HttpRequest, project: Project) -> HttpResponse:
    """Compare the chosen runs, move them to the trash, or bring them back; what cannot be is left and named."""
    actor = request.actor  # type: ignore[attr-defined]
    if request.POST.get("verb") == "compare":
        chosen = QueryDict(mutable=True)
        chosen.setlist("run", request.POST.getlist("run")[:100])
        to = reverse("experiments:compare", kwargs={"project": project.slug})
        return redirect(f"{to}?{chosen.urlencode()}")
    back = request.POST.get("verb") == "restore"
    experiment = request.POST.get("experiment", "")
    done: list[str] = []
    left: list[str] = []
    for run_id in request.POST.getlist("run")[:100]:
        found = get_editable_run(actor, project, run_id, trashed=back)
        try:
            (actions.restore_run if back else actions.trash_run)(actor=actor, run=found)
            done.append(found.hex)
        except AtelierError as error:
            left.append(error.message)
    count = f"{len(done)} {'run' if len(done) == 1 else 'runs'}"
    if done and back:
        messages.success(request, f"{count} came back from the trash.")
    elif done:
        fields = [("verb", "restore"), ("experiment", experiment), *(("run", run) for run in done)]
        say_with_undo(
            request, f"{count} moved to the trash.", reverse("experiments:bulk", args=[project.slug]), fields
        )
    for sentence in left:
        messages.error(request, sentence)
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
    if request.user.pk is not None:
        publish(events.RunsCompared(project_id=project.pk, user_id=request.user.pk))
    return render(request, "experiments/compare.html", {"page": page})
