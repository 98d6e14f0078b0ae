"""`python -m tests.faults.process ROLE`: a process of the fault suite's studio, which also knows its kinds of jobs.

Roles: prepare (tables, people, a project; prints their tokens), web, worker, scheduler.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
from typing import Any

PROJECT = "arena"


def main(role: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "atelier.settings"
    import django

    django.setup()

    from runtime.config import load
    from tests.faults import kinds

    kinds.register()
    if role == "prepare":
        print(json.dumps(prepare()))
    elif role == "web":
        add_route()
        importlib.import_module("runtime.web").main(load())
    elif role == "worker":
        module = importlib.import_module("apps.jobs.worker")
        executor = importlib.import_module("adapters.executors.local").LocalExecutor
        module.LocalExecutor = functools.partial(executor, modules=["json"])
        module.main(load())
    else:
        importlib.import_module("apps.jobs.scheduler").main(load())


def prepare() -> dict[str, str]:
    """Tables, ada and eve with a project each, and the secrets of their tokens."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from adapters.storage import get_store
    from adapters.storage.mark import leave_mark
    from adapters.tracking import use_tracking
    from adapters.tracking.fake import FakeTracking
    from apps.accounts.access import SYSTEM, Actor
    from apps.accounts.actions import create_project, create_team, create_token, create_user
    from tests.faults import kinds

    call_command("migrate", interactive=False, verbosity=0)
    leave_mark(get_store(), settings.CONFIG.secret_key)
    with connection.cursor() as cursor:
        cursor.execute(kinds.TABLE)
    made = {}
    with use_tracking(FakeTracking()):
        for name, team_slug, project in (("ada", "red", PROJECT), ("eve", "fuzz", "fuzz")):
            user = create_user(actor=SYSTEM, username=name, password=None, is_superuser=False)
            team = create_team(actor=Actor(user=user), slug=team_slug, name=team_slug.title())
            create_project(actor=Actor(user=user), slug=project, name=project.title(), team=team)
            _, made[name] = create_token(
                actor=SYSTEM, user=user, name="faults", scope="write", project=None, days=None
            )
    return made


def add_route() -> None:
    """POST /api/v1/projects/{project}/rehearsals: submits a job of the suite's kinds, with its audit row."""
    from django.db import transaction
    from rest_framework.request import Request
    from rest_framework.response import Response

    from apps.accounts.api_base import ProjectAPIView
    from apps.accounts.audit import record_audit
    from apps.jobs import api
    from apps.jobs.actions import submit
    from foundation.api import api_path, read_fields

    class Rehearsals(ProjectAPIView):
        """Creating, as every such route: one transaction."""

        def post(self, request: Request, project: str) -> Response:
            fields = read_fields(request, ("kind", "spec", "title", "queue"), ("kind",))
            with transaction.atomic():
                job = submit(
                    kind=fields["kind"],
                    project=self.project,
                    created_by=self.actor.user,
                    spec=fields.get("spec") or {},
                    title=fields.get("title") or "Rehearsal",
                    queue=fields.get("queue") or "cpu",
                )
                about: dict[str, Any] = {"subject_kind": "job", "subject_id": job.pk}
                record_audit(
                    actor=self.actor,
                    action="rehearsal.submit",
                    project=self.project,
                    subject_title=job.title,
                    **about,
                )
            return Response({"id": str(job.pk)}, status=201)

    api.api_urlpatterns.append(api_path("rehearsals", Rehearsals.as_view(), name="rehearsals"))


if __name__ == "__main__":
    main(sys.argv[1])
