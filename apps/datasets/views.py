"""HTML pages: parse, one domain call, render."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Project
from apps.accounts.pages import project_page
from apps.accounts.states import Role
from apps.accounts.trash import name_trashers
from apps.datasets import actions, pages
from apps.datasets.access import (
    get_editable_dataset,
    get_editable_version,
    get_visible_dataset,
    get_visible_version,
)
from apps.datasets.downloads import download
from apps.datasets.forms import DatasetForm, NewDatasetForm, RetryForm, UploadForm, VersionForm
from apps.datasets.models import DatasetVersion
from apps.datasets.states import VersionState
from apps.datasets.uploads import staged_file
from foundation.errors import AtelierError, NotFound
from foundation.ui.forms import add_error
from foundation.ui.toasts import say_with_undo
from gateway.uploads import PROBLEMS


@project_page()
@require_GET
def dataset_list(request: Any, project: Project) -> HttpResponse:
    """All datasets, or (`?trashed=1`) those in the trash."""
    page = pages.ListPage.build(request, project, trashed=request.GET.get("trashed") == "1")
    template = "datasets/_list.html" if "fragment" in request.GET else "datasets/list.html"
    return render(request, template, {"page": page, "listing": page.listing})


@project_page()
@require_http_methods(["GET", "POST"])
def dataset_new(request: Any, project: Project) -> HttpResponse:
    """Register a dataset with its first version."""

    def made(form: NewDatasetForm) -> str:
        dataset = actions.create_dataset(
            actor=request.actor,
            project=project,
            name=form.cleaned_data["name"],
            description=form.cleaned_data["description"],
            staged=staged_file(request),
            options=form.options(),
        )
        return str(dataset.versions.get().get_absolute_url())

    return _upload_page(request, NewDatasetForm, made, {"dataset": None})


@project_page()
@require_http_methods(["GET", "POST"])
def version_new(request: Any, project: Project, name: str) -> HttpResponse:
    """Upload the next version."""
    dataset = get_visible_dataset(request.actor, project, name)

    def made(form: UploadForm) -> str:
        version = actions.add_version(
            actor=request.actor, dataset=dataset, staged=staged_file(request), options=form.options()
        )
        return version.get_absolute_url()

    return _upload_page(request, UploadForm, made, {"dataset": dataset})


def _upload_page(
    request: Any, form_class: Any, made: Callable[[Any], str], context: dict[str, Any]
) -> HttpResponse:
    form, status = form_class(), 200
    if request.method == "POST":
        form = form_class(request.POST, request.FILES)
        if form.is_valid():
            try:
                return redirect(made(form))
            except AtelierError as error:
                add_error(form, error)
                status = error.status
        else:
            status = 422
    problem = PROBLEMS.get(request.GET.get("problem", ""), "")
    return render(
        request, "datasets/upload.html", {**context, "form": form, "problem": problem}, status=status
    )


@project_page()
@require_GET
def dataset_detail(request: Any, project: Project, name: str) -> HttpResponse:
    """One dataset and its versions; one in the trash is shown with the way back."""
    try:
        dataset = get_visible_dataset(request.actor, project, name)
    except NotFound:
        dataset = get_visible_dataset(request.actor, project, name, trashed=True)
        name_trashers(project, [dataset], "dataset.trash")
    page = pages.DatasetPage.build(request, dataset)
    template = "datasets/_versions.html" if "fragment" in request.GET else "datasets/detail.html"
    return render(request, template, {"page": page, "listing": page.listing, "dataset": dataset})


@project_page()
@require_http_methods(["GET", "POST"])
def dataset_edit(request: Any, project: Project, name: str) -> HttpResponse:
    """Rename or describe."""
    dataset = get_visible_dataset(request.actor, project, name)
    form, status = DatasetForm(initial={"name": dataset.name, "description": dataset.description}), 200
    if request.method == "POST":
        form = DatasetForm(request.POST)
        status = 422
        if form.is_valid():
            try:
                actions.update_dataset(actor=request.actor, dataset=dataset, **form.cleaned_data)
                return redirect(dataset)
            except AtelierError as error:
                dataset.refresh_from_db()
                add_error(form, error)
                status = error.status
    return render(request, "datasets/edit.html", {"dataset": dataset, "form": form}, status=status)


@project_page()
@require_POST
def dataset_verb(request: Any, project: Project, name: str, verb: str) -> HttpResponse:
    """Move a dataset to the trash, or bring it back."""
    dataset = get_editable_dataset(request.actor, project, name, trashed=verb == "restore")
    if verb == "trash":
        actions.trash_dataset(actor=request.actor, dataset=dataset)
        undo = reverse("datasets:verb", args=[project.slug, dataset.name, "restore"])
        say_with_undo(request, f"{dataset.name} moved to the trash with its versions.", undo)
        return redirect("datasets:list", project.slug)
    try:
        actions.restore_dataset(actor=request.actor, dataset=dataset)
    except AtelierError as error:
        messages.error(request, error.message)
        return redirect("datasets:list", project.slug)
    messages.success(request, f"{dataset.name} is back with its versions.")
    return redirect(dataset)


@project_page(write=Role.MAINTAINER)
@require_POST
def dataset_purge(request: Any, project: Project, name: str) -> HttpResponse:
    """Remove a dataset that is in the trash for good, with its bytes."""
    dataset = get_editable_dataset(request.actor, project, name, trashed=True)
    try:
        actions.purge_dataset(actor=request.actor, dataset=dataset)
    except AtelierError as error:
        messages.error(request, error.message)
        return redirect(dataset)
    messages.success(request, f"{name} is removed for good.")
    return redirect("datasets:list", project.slug)


def _version(request: Any, project: Project, name: str, number: int) -> DatasetVersion:
    try:
        return get_visible_version(request.actor, project, name, number)
    except NotFound:
        version = get_visible_version(request.actor, project, name, number, trashed=True)
        pages.name_version_trashers(project, [version])
        return version


@project_page()
@require_GET
def version_page(
    request: Any, project: Project, name: str, number: int, tab: str = "overview"
) -> HttpResponse:
    """One version on one of its tabs."""
    version = _version(request, project, name, number)
    context = _version_context(request, version, tab)
    return render(request, f"datasets/version_{tab}.html", context)


@project_page()
@require_GET
def version_live(request: Any, project: Project, name: str, number: int) -> HttpResponse:
    """The parts of a version's page that change while it is read: its overview, or (`?fragment=actions`) its buttons."""
    version = _version(request, project, name, number)
    part = "actions" if request.GET.get("fragment") == "actions" else "live"
    return render(request, f"datasets/_version_{part}.html", _version_context(request, version, "overview"))


def _version_context(request: Any, version: DatasetVersion, tab: str) -> dict[str, Any]:
    page = pages.VersionPage.build(request, version, tab)
    form = RetryForm(initial=version.options) if version.state == VersionState.FAILED else None
    return {"page": page, "version": version, "dataset": version.dataset, "form": form}


@project_page()
@require_http_methods(["GET", "POST"])
def version_edit(request: Any, project: Project, name: str, number: int) -> HttpResponse:
    """Describe a version."""
    version = get_visible_version(request.actor, project, name, number)
    form, status = VersionForm(initial={"description": version.description}), 200
    if request.method == "POST":
        form, status = VersionForm(request.POST), 422
        if form.is_valid():
            try:
                actions.describe_version(actor=request.actor, version=version, **form.cleaned_data)
                return redirect(version)
            except AtelierError as error:
                add_error(form, error)
                status = error.status
    context = {"version": version, "dataset": version.dataset, "form": form}
    return render(request, "datasets/version_edit.html", context, status=status)


@project_page()
@require_POST
def version_verb(request: Any, project: Project, name: str, number: int, verb: str) -> HttpResponse:
    """Read a failed version again, move a version to the trash, or bring it back."""
    version = get_editable_version(request.actor, project, name, number, trashed=verb == "restore")
    try:
        if verb == "retry":
            form = RetryForm(request.POST)
            actions.retry_version(
                actor=request.actor,
                version=version,
                options=form.options() if form.is_valid() else version.options,
            )
        elif verb == "trash":
            actions.trash_version(actor=request.actor, version=version)
            undo = reverse("datasets:version-verb", args=[project.slug, name, version.number, "restore"])
            say_with_undo(request, f"{version.label} moved to the trash.", undo)
            return redirect(version.dataset)
        else:
            actions.restore_version(actor=request.actor, version=version)
            messages.success(request, f"{version.label} is back.")
    except AtelierError as error:
        messages.error(request, error.message)
    return redirect(version)


@project_page()
@require_GET
def version_download(request: HttpRequest, project: Project, name: str, number: int) -> HttpResponseBase:
    """The rows as a file, `?format=parquet` or `csv`."""
    version = get_visible_version(request.actor, project, name, number)  # type: ignore[attr-defined]
    return download(request, version, request.GET.get("format", ""))
