"""What pages of deployments show; a page and its live fragments share these contexts."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from apps.accounts.models import Project
from apps.accounts.trash import name_trashers
from apps.deployments import queries
from apps.deployments.models import Deployment, Revision
from apps.deployments.states import DeploymentState, RevisionState
from apps.jobs.models import Job
from apps.lineage import queries as lineage
from apps.lineage.states import NodeKind
from foundation.ui.listing import Listing, list_page, url_with

FEATURE_COLUMNS = 8
ORDERS = {"name": "name", "state": "state", "created": "created_at"}


@dataclass(frozen=True)
class DeploymentsPage:
    """The list."""

    listing: Listing
    q: str
    state: str
    states: list[tuple[str, str]]
    any_moving: bool
    trashed: bool

    @classmethod
    def build(cls, request: HttpRequest, project: Project) -> DeploymentsPage:
        q, state = request.GET.get("q", "")[:63], request.GET.get("state", "")
        trashed = request.GET.get("trashed") == "1"
        rows = queries.deployments_of(project, q=q, state=state, trashed=trashed)
        total = queries.deployments_of(project, trashed=trashed).count()
        listing = list_page(request, rows, orders=ORDERS, default="name", total=total)
        moving = any(row.is_moving for row in listing.rows) and not trashed
        if trashed:
            name_trashers(project, listing.rows, "deployment.trash")
        return cls(listing, q, state, list(DeploymentState.choices), moving, trashed)


@dataclass(frozen=True)
class DeploymentPage:
    """What the head of every page of one deployment shows."""

    deployment: Deployment
    lineage: list[dict[str, Any]]
    revisions: list[Revision]
    building: Job | None
    url: str
    moving: bool

    @classmethod
    def build(cls, request: HttpRequest, deployment: Deployment) -> DeploymentPage:
        revisions = list(deployment.revisions.select_related("created_by")[:20])
        newest = revisions[0] if revisions else None
        building = None
        if newest is not None and newest.state == RevisionState.BUILDING and newest.job_id:
            building = Job.objects.filter(pk=newest.job_id).first()
        unsettled = {
            RevisionState.BUILDING,
            RevisionState.BUILT,
            RevisionState.STARTING,
            RevisionState.DRAINING,
        }
        moving = deployment.is_moving or (
            deployment.is_running and any(revision.state in unsettled for revision in revisions)
        )
        return cls(
            deployment=deployment,
            lineage=lineage_line(deployment),
            revisions=revisions,
            building=building,
            url=request.build_absolute_uri(deployment.predict_path),
            moving=moving,
        )


def lineage_line(deployment: Deployment) -> list[dict[str, Any]]:
    """dataset version → run → model version → deployment → monitor, for components/lineage.html."""
    return [
        {
            "kind": stop.kind,
            "title": f"{stop.first.title} +{stop.more}" if stop.more else stop.first.title,
            "url": stop.first.url,
            "state": stop.first.state,
            "current": stop.first.focus,
        }
        for stop in lineage.line(kind=NodeKind.DEPLOYMENT, key=deployment.pk)
    ]


@dataclass(frozen=True)
class Snippets:
    """How to call the deployment from a program, with a real example."""

    curl: str
    python: str

    @classmethod
    def build(cls, url: str, deployment: Deployment) -> Snippets | None:
        example = queries.example_record(queries.signature_of(deployment))
        if not example:
            return None
        payload = json.dumps({"records": [example]}, ensure_ascii=False)
        quoted = payload.replace("'", "'\\''")
        curl = (
            f'curl {url} \\\n  -H "Authorization: Bearer $ATELIER_TOKEN" \\\n'
            f"  -H 'Content-Type: application/json' \\\n  -d '{quoted}'"
        )
        record = json.dumps(example, indent=4, ensure_ascii=False)
        record = record.replace(": true", ": True").replace(": false", ": False").replace(": null", ": None")
        python = (
            "import os\nimport requests\n\n"
            f"record = {record}\n"
            f'answer = requests.post(\n    "{url}",\n    json={{"records": [record]}},\n'
            '    headers={"Authorization": f"Bearer {os.environ[\'ATELIER_TOKEN\']}"},\n    timeout=30,\n)\n'
            'answer.raise_for_status()\nprint(answer.json()["predictions"])'
        )
        return cls(curl, python)


@dataclass(frozen=True)
class InferencesPage:
    """A page of recorded inferences. features: the columns that the table shows, each with its name and
    whether all its values on this page are numbers; numeric: the same of the predictions."""

    items: list[dict[str, Any]]
    features: list[dict[str, Any]]
    hidden: int
    numeric: bool
    classification: bool
    total: int
    start: str
    end: str
    next_url: str | None
    first_url: str | None
    filtered: bool
    clear_url: str

    @classmethod
    def build(cls, request: HttpRequest, deployment: Deployment) -> InferencesPage:
        start, end = request.GET.get("start", ""), request.GET.get("end", "")
        cursor = request.GET.get("cursor", "")
        page = queries.list_inferences(
            deployment, before=_uuid(cursor), start=_moment(start), end=_moment(end)
        )
        names = [c["name"] for c in queries.signature_of(deployment).get("columns", ())]
        if not names and page.items:
            names = list(page.items[0].features)
        shown = names[:FEATURE_COLUMNS]
        numbers = {name for name in shown if are_numbers(i.features.get(name) for i in page.items)}
        items = [
            {
                "it": i,
                "prediction": shortened(i.prediction),
                "cells": [
                    {"value": shortened(i.features.get(name)), "numeric": name in numbers} for name in shown
                ],
            }
            for i in page.items
        ]
        return cls(
            items=items,
            features=[{"name": name, "numeric": name in numbers} for name in shown],
            hidden=len(names) - len(shown),
            numeric=are_numbers(i.prediction for i in page.items),
            classification=queries.classification(deployment),
            total=queries.count_inferences(deployment),
            start=start,
            end=end,
            next_url=url_with(request, cursor=page.next) if page.next else None,
            first_url=url_with(request, cursor=None) if cursor else None,
            filtered=bool(start or end),
            clear_url=request.path,
        )


def are_numbers(values: Iterable[Any]) -> bool:
    """Whether a column is one of numbers, which stand at the right of their cells."""
    return all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values)


def shortened(value: Any) -> Any:
    """A fraction with six significant digits, for a table; everything else as it is."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _moment(text: str) -> datetime.datetime | None:
    """A time of the filter, UTC when it has no offset; nonsense of an old bookmark filters nothing."""
    try:
        moment = datetime.datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=datetime.UTC) if moment is not None and moment.tzinfo is None else moment
