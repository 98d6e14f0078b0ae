"""Pages of studies. Each view parses, makes one domain call, and renders."""

from __future__ import annotations

import math
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.accounts.trash import name_trashers, trash_page
from apps.tuning import actions
from apps.tuning.access import get_study
from apps.tuning.forms import EditForm
from apps.tuning.models import Study
from apps.tuning.new_study import NewStudy
from apps.tuning.pages import StudiesPage, StudyPage
from apps.tuning.space import count_points
from apps.tuning.spec import TRIALS_AT_MOST, parse_study
from apps.tuning.states import Pruner, Sampler
from apps.tuning.trial_table import TrialTable
from foundation.api import etag_of
from foundation.errors import AtelierError, Invalid, NotFound
from foundation.ui.forms import add_error
from foundation.ui.toasts import say_with_undo
from foundation.ui.values import number

_PARTS = {"status": "tuning/_status.html", "actions": "tuning/_actions.html"}
_LIVE = {
    "overview": "tuning/_overview.html",
    "parallel": "tuning/_parallel.html",
    "trials": "tuning/_trials.html",
}


def _actor(request: HttpRequest) -> Any:
    return request.actor  # type: ignore[attr-defined]  # set by the middleware


def _unless_same(request: HttpRequest, key: str, template: str, context: dict[str, Any]) -> HttpResponse:
    """A live part, answered with 304 while `key` is what the page has seen: then nothing is drawn."""
    tag = etag_of(key, request.get_full_path(), request.can_edit)  # type: ignore[attr-defined]
    same: HttpResponse | None = get_conditional_response(request, etag=tag)
    response = same or render(request, template, context)
    response.headers["ETag"] = tag
    return response


@require_GET
@project_page()
def study_list(request: HttpRequest, project: Project) -> HttpResponse:
    """All studies of the project, or (`?trashed=1`) those in the trash; ?fragment: the table alone."""
    page = StudiesPage.build(request, project)
    context = {"page": page, "listing": page.listing}
    if "fragment" in request.GET:
        return _unless_same(request, page.key, "tuning/_table.html", context)
    return render(request, "tuning/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def study_new(request: HttpRequest, project: Project) -> HttpResponse:
    """The form of a new study; POST starts it."""
    page = NewStudy.build(request, project)
    if request.method == "POST":
        try:
            spec = parse_study(page.body(), actor=_actor(request), project=project)
            return redirect(actions.create_study(actor=_actor(request), project=project, spec=spec))
        except AtelierError as error:
            page.refuse(error)
    return render(request, "tuning/new.html", {"page": page}, status=422 if page.problem else 200)


@require_GET
@project_page()
def study_new_part(request: HttpRequest, project: Project, part: str) -> HttpResponse:
    """Fragment: the targets of the chosen dataset, or the parameters of the chosen algorithm."""
    return render(request, f"tuning/_new_{part}.html", {"page": NewStudy.build(request, project)})


@require_GET
@project_page()
def study_new_plan(request: HttpRequest, project: Project) -> HttpResponse:
    """Fragment: what the entered study would do, with the reasons; or the first thing that is wrong."""
    page = NewStudy.build(request, project)
    try:
        spec = parse_study(page.body() | {"name": "plan"}, actor=_actor(request), project=project)
    except AtelierError as error:
        return render(request, "tuning/_plan.html", {"problem": error})
    points = count_points(spec.space)
    context = {
        "spec": spec,
        "points": "as many as you like" if math.isinf(points) else number(points),
        "sampler": Sampler(spec.sampler.name).label,
        "sampler_reason": spec.sampler.reason,
        "pruner": Pruner(spec.pruner.name).label,
        "pruner_reason": spec.pruner.reason,
    }
    return render(request, "tuning/_plan.html", context)


@require_GET
@project_page()
def study_page(request: HttpRequest, project: Project, name: str, tab: str) -> HttpResponse:
    """One study on one of its tabs; ?fragment=1, status or actions: the parts that refresh themselves."""
    try:
        study = get_study(project, name)
    except NotFound:
        return _in_trash(request, project, get_study(project, name, trashed=True))
    part = request.GET.get("fragment", "")
    if part in _PARTS:
        return _unless_same(request, f"{study.state}", _PARTS[part], {"study": study})
    page = StudyPage.build(request, study, tab)
    context: dict[str, Any] = {"page": page, "study": study}
    if tab == "trials":
        table = TrialTable.build(request, page)
        context |= {"table": table, "listing": table.listing}
    if part:
        return _unless_same(request, page.key, _LIVE.get(tab, _LIVE["overview"]), context)
    template = "detail" if tab == "overview" else tab
    return render(request, f"tuning/{template}.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def study_edit(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """Rename or describe."""
    study = get_study(project, name)
    initial = {f: getattr(study, f) for f in ("name", "description", "n_trials", "parallelism")}
    form = EditForm(request.POST or None, initial=initial, live=study.is_live)
    if request.method == "POST" and form.is_valid():
        try:
            actions.update_study(actor=_actor(request), study=study, changes=form.cleaned_data)
        except AtelierError as error:
            add_error(form, error)
        else:
            return redirect("tuning:detail", project.slug, study.name)
    status = 422 if request.method == "POST" else 200
    shown = get_study(project, name) if status == 422 else study
    return render(request, "tuning/edit.html", {"form": form, "study": shown}, status=status)


@require_POST
@project_page()
def study_verb(request: HttpRequest, project: Project, name: str, verb: str) -> HttpResponse:
    """Stop, resume, train the final model, move to the trash, restore."""
    actor, study = _actor(request), get_study(project, name, trashed=verb == "restore")
    try:
        if verb == "stop":
            _stop(request, study)
        elif verb == "resume":
            more = _whole_number(request.POST.get("more", ""))
            actions.resume_study(actor=actor, study=study, n_trials=study.trials.count() + more)
            messages.success(request, f"{study.name} goes on.")
        elif verb == "train":
            run = actions.train_final(actor=actor, study=study)
            messages.success(request, "The final model is being trained with the best trial's parameters.")
            return redirect("experiments:run", project=project.slug, run=run.hex)
        elif verb == "restore":
            actions.restore_study(actor=actor, study=study)
            messages.success(request, f"{study.name} is back with its trials.")
        else:
            actions.trash_study(actor=actor, study=study)
            undo = reverse("tuning:verb", args=[project.slug, study.name, "restore"])
            say_with_undo(request, f"{study.name} moved to the trash.", undo)
            return redirect("tuning:list", project.slug)
    except AtelierError as error:
        messages.error(request, error.message)
        if verb == "restore":
            return redirect("tuning:list", project.slug)
    return redirect("tuning:detail", project.slug, study.name)


def _stop(request: HttpRequest, study: Study) -> None:
    actions.stop_study(actor=_actor(request), study=study, cancel="cancel" in request.POST)
    messages.info(request, f"{study.name} begins no further trial.")


def _whole_number(text: str) -> int:
    """How many more trials. Raises Invalid for anything but a whole number above zero."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= TRIALS_AT_MOST):
        raise Invalid(
            "study.out_of_range", f"Say how many more trials, 1 to {TRIALS_AT_MOST}.", {"field": "more"}
        )
    return int(text)


def _in_trash(request: HttpRequest, project: Project, study: Study) -> HttpResponse:
    name_trashers(project, [study], "study.trash")
    return trash_page(
        request,
        study,
        title=study.name,
        kind="study",
        listing=("Studies", reverse("tuning:list", args=[project.slug])),
        restore_url=reverse("tuning:verb", args=[project.slug, study.name, "restore"]),
        may_restore=request.can_edit,  # type: ignore[attr-defined]
        keeps="Its trials and their runs come back with it.",
    )
