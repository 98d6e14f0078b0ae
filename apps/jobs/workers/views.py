"""Pages of workers, outside any project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.pages import signed_in
from apps.jobs.models import Worker
from apps.jobs.workers import actions
from apps.jobs.workers.access import get_managed_worker, get_visible_worker
from apps.jobs.workers.pages import WorkerPage, WorkersPage
from apps.jobs.workers.queries import with_state
from foundation.errors import Conflict
from foundation.ui.fragments import render_live


def _is_fragment(request: Any) -> bool:
    return bool(request.headers.get("HX-Request") == "true")


@signed_in
@require_GET
def worker_list(request: Any) -> HttpResponse:
    """The workers one may see; ?queue=, ?q=."""
    return _list(request, past=False)


@signed_in
@require_GET
def worker_gone(request: Any) -> HttpResponse:
    """Those that ended, or have been silent for long."""
    return _list(request, past=True)


def _list(request: Any, *, past: bool) -> HttpResponse:
    page = WorkersPage.build(request, request.actor, past=past)
    if _is_fragment(request):
        return render_live(request, "workers/_table.html", {"page": page})
    return render(request, "workers/list.html", {"page": page, "listing": page.listing})


@signed_in
@require_GET
def worker_detail(request: Any, worker: str) -> HttpResponse:
    """One worker."""
    found = get_visible_worker(request.actor, worker)
    page = WorkerPage.build(request.actor, with_state(Worker.objects.filter(pk=found.pk)).get())
    context = {"page": page, "worker": page.worker, "view": page.view}
    if _is_fragment(request):
        return render_live(request, "workers/_detail.html", context)
    return render(request, "workers/detail.html", context)


@signed_in
@require_POST
def worker_drain(request: Any, worker: str) -> HttpResponse:
    """Staff: it takes nothing new."""
    return _change(request, worker, actions.drain, "takes no new jobs from now on.")


@signed_in
@require_POST
def worker_resume(request: Any, worker: str) -> HttpResponse:
    """Staff: it works again."""
    return _change(request, worker, actions.resume, "takes jobs again.")


def _change(request: Any, key: str, action: Callable[..., Worker], words: str) -> HttpResponse:
    found = get_managed_worker(request.actor, key)
    try:
        action(actor=request.actor, worker=found)
        messages.success(request, f"{found.name} {words}")
    except Conflict as error:
        messages.error(request, error.message)
    return redirect("workers:detail", found.pk)
