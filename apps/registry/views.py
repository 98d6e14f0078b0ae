"""HTML pages of the registry: parse, one domain call, render."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.accounts.states import Role
from apps.accounts.trash import name_trashers, trash_page
from apps.experiments.access import get_visible_run
from apps.registry import actions, pages, promoting
from apps.registry.access import get_model, get_promotion, get_version
from apps.registry.forms import (
    DecisionForm,
    DescribeForm,
    EditModelForm,
    ModelForm,
    PromoteForm,
    RegisterForm,
)
from apps.registry.models import Model, ModelVersion, Promotion
from apps.registry.states import PromotionState
from foundation.errors import AtelierError, Invalid, NotFound
from foundation.ui.forms import add_error
from foundation.ui.toasts import say_with_undo


@project_page()
@require_GET
def model_list(request: HttpRequest, project: Project) -> HttpResponse:
    """All models of the project."""
    page = pages.ModelsPage.build(request, project)
    return render(request, "registry/list.html", {"page": page, "listing": page.listing})


@project_page()
@require_http_methods(["GET", "POST"])
def model_new(request: Any, project: Project) -> HttpResponse:
    """The form of a new model."""
    form = ModelForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.create_model(actor=request.actor, project=project, **form.cleaned_data)
            return redirect(made.url)
        except AtelierError as error:
            add_error(form, error)
    return render(request, "registry/new.html", {"form": form}, status=422 if form.errors else 200)


@project_page()
@require_http_methods(["GET", "POST"])
def register(request: Any, project: Project) -> HttpResponse:
    """Register the model of ?run= as a version of a model, known or new."""
    run = get_visible_run(request.actor, project, request.GET.get("run") or request.POST.get("run", ""))
    form = RegisterForm(request.POST if request.method == "POST" else None, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            version = _register(request, project, run, form.cleaned_data)
            messages.success(request, f"{version.label} is registered.")
            return redirect(version.url)
        except AtelierError as error:
            add_error(form, error)
    return render(
        request, "registry/register.html", {"form": form, "run": run}, status=422 if form.errors else 200
    )


def _register(request: Any, project: Project, run: Any, data: dict[str, Any]) -> ModelVersion:
    with transaction.atomic():  # no empty model stays behind when the run turns out to have none
        if data["model"]:
            model = get_model(project, data["model"])
        else:
            model = actions.create_model(actor=request.actor, project=project, name=data["name"])
        return actions.register_version(
            actor=request.actor, model=model, run=run, description=data["description"]
        )


@project_page()
@require_GET
def model_page(request: Any, project: Project, model: str) -> HttpResponse:
    """One model; ?fragment: the parts that refresh themselves."""
    try:
        found = get_model(project, model)
    except NotFound:
        return _model_in_trash(request, project, get_model(project, model, trashed=True))
    page = pages.ModelPage.build(request, found)
    template = "registry/_model.html" if "fragment" in request.GET else "registry/model.html"
    return render(request, template, {"page": page, "model": found, "listing": page.listing})


def _model_in_trash(request: Any, project: Project, model: Model) -> HttpResponse:
    name_trashers(project, [model], "model.trash")
    return trash_page(
        request,
        model,
        title=model.name,
        kind="model",
        listing=("Models", reverse("registry:list", args=[project.slug])),
        restore_url=reverse("registry:verb", args=[project.slug, model.pk, "restore"]),
        may_restore=request.can_edit,
        keeps="All its versions come back with it. Deployments that run one of them go on meanwhile.",
    )


@project_page()
@require_http_methods(["GET", "POST"])
def model_edit(request: Any, project: Project, model: str) -> HttpResponse:
    """Rename or describe."""
    found = get_model(project, model)
    form = EditModelForm(
        request.POST if request.method == "POST" else None,
        initial={"name": found.name, "description": found.description},
    )
    if request.method == "POST" and form.is_valid():
        try:
            changed = actions.update_model(actor=request.actor, model=found, **form.cleaned_data)
            return redirect(changed.url)
        except AtelierError as error:
            add_error(form, error)
            found = get_model(project, str(found.pk))
    return render(
        request, "registry/edit.html", {"form": form, "model": found}, status=422 if form.errors else 200
    )


@project_page()
@require_POST
def model_verb(request: Any, project: Project, model: str, verb: str) -> HttpResponse:
    """To the trash, or back."""
    found = get_model(project, model, trashed=verb == "restore")
    try:
        if verb == "trash":
            actions.trash_model(actor=request.actor, model=found)
            undo = reverse("registry:verb", args=[project.slug, found.pk, "restore"])
            say_with_undo(request, f"{found.name} moved to the trash with its versions.", undo)
            return redirect("registry:list", project=project.slug)
        actions.restore_model(actor=request.actor, model=found)
        messages.success(request, f"{found.name} is back with its versions.")
    except AtelierError as error:
        messages.error(request, error.message)
        if verb == "restore":
            return redirect("registry:list", project=project.slug)
    return redirect(found.url)


@project_page(write=Role.MAINTAINER)
@require_POST
def model_release(request: Any, project: Project, model: str) -> HttpResponse:
    """Take a protected alias away from the version that holds it."""
    found = get_model(project, model)
    try:
        promoting.release_alias(actor=request.actor, model=found, alias=request.POST.get("alias", ""))
        messages.success(request, "No version holds that alias now.")
    except AtelierError as error:
        messages.error(request, error.message)
    return redirect(found.url)


def _version(request: Any, version: ModelVersion, *, form: Any = None, status: int = 200) -> HttpResponse:
    page = pages.VersionPage.build(request, version)
    first = page.offered[0] if page.offered else ""
    context = {
        "page": page,
        "version": version,
        "model": version.model,
        "promote_form": form or PromoteForm(initial={"to": first}),
        "decision_form": DecisionForm(),
    }
    template = "registry/_version.html" if "fragment" in request.GET else "registry/version.html"
    return render(request, template, context, status=status)


@project_page()
@require_GET
def version_page(request: Any, project: Project, model: str, number: str) -> HttpResponse:
    """One version; ?fragment: the parts that refresh themselves."""
    found = get_model(project, model)
    try:
        return _version(request, get_version(found, number))
    except NotFound:
        return _version_in_trash(request, get_version(found, number, trashed=True))


def _version_in_trash(request: Any, version: ModelVersion) -> HttpResponse:
    pages.name_version_trashers(version.project, [version])
    place = [version.project.slug, version.model.name, version.number]
    return trash_page(
        request,
        version,
        title=version.label,
        kind="version",
        listing=(version.model.name, version.model.url),
        restore_url=reverse("registry:version-verb", args=[*place, "restore"]),
        may_restore=request.can_edit,
        keeps="Its aliases do not come back with it. Deployments that run it go on meanwhile.",
    )


@project_page()
@require_http_methods(["GET", "POST"])
def version_edit(request: Any, project: Project, model: str, number: str) -> HttpResponse:
    """Describe a version."""
    version = get_version(get_model(project, model), number)
    form = DescribeForm(
        request.POST if request.method == "POST" else None, initial={"description": version.description}
    )
    if request.method == "POST" and form.is_valid():
        try:
            actions.describe_version(actor=request.actor, version=version, **form.cleaned_data)
            return redirect(version.url)
        except AtelierError as error:
            add_error(form, error)
    context = {"form": form, "version": version, "model": version.model}
    return render(request, "registry/version_edit.html", context, status=422 if form.errors else 200)


@project_page()
@require_POST
def version_verb(request: Any, project: Project, model: str, number: str, verb: str) -> HttpResponse:
    """One version to the trash, or back."""
    version = get_version(get_model(project, model), number, trashed=verb == "restore")
    act = {"trash": actions.trash_version, "restore": actions.restore_version}[verb]
    try:
        act(actor=request.actor, version=version)
    except AtelierError as error:
        messages.error(request, error.message)
        return redirect(version.url)
    if verb == "trash":
        undo = reverse("registry:version-verb", args=[project.slug, version.model.name, number, "restore"])
        say_with_undo(request, f"{version.label} moved to the trash.", undo)
        return redirect(version.model.url)
    messages.success(request, f"{version.label} is back.")
    return redirect(version.url)


@project_page()
@require_POST
def version_promote(request: Any, project: Project, model: str, number: str) -> HttpResponse:
    """Ask for a promotion."""
    version = get_version(get_model(project, model), number)
    form = PromoteForm(request.POST)
    if form.is_valid():
        try:
            promoting.request_promotion(actor=request.actor, version=version, **form.cleaned_data)
            return redirect(version.url)
        except AtelierError as error:
            add_error(form, error)
    return _version(request, version, form=form, status=422)


@project_page(write=Role.MAINTAINER)
@require_POST
def promotion_approve(request: Any, project: Project, promotion: UUID) -> HttpResponse:
    """Approve: the alias moves."""
    return _decide(request, project, promotion, promoting.approve)


@project_page()
@require_POST
def promotion_reject(request: Any, project: Project, promotion: UUID) -> HttpResponse:
    """Reject, or withdraw one's own."""
    return _decide(request, project, promotion, promoting.reject)


def _decide(
    request: Any, project: Project, promotion: UUID, decide: Callable[..., Promotion]
) -> HttpResponse:
    found = get_promotion(project, promotion)
    form = DecisionForm(request.POST)
    try:
        if not form.is_valid():
            raise Invalid("text.invalid", "The comment cannot be read.")
        decided = decide(actor=request.actor, promotion=found, comment=form.cleaned_data["comment"])
        if decided.state == PromotionState.APPLIED:
            messages.success(request, f"{found.version.label} holds '{found.alias}' now.")
        elif decided.state == PromotionState.FAILED:
            messages.error(request, decided.reason)
    except AtelierError as error:
        messages.error(request, error.message)
    return redirect(found.version.url)
