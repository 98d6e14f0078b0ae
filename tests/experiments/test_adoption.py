"""Many new runs of stock clients at once: few statements, everyone's own name, no run twice."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import AuditEvent
from apps.experiments import adoption, mirror
from apps.experiments.adoption import NewRun, adopt_runs
from apps.experiments.models import Run
from apps.lineage.models import Node
from tests.support.people import People

pytestmark = pytest.mark.django_db


def make(people: People, tracking: Any, run_id: str, experiment: str = "sweep", **tags: str) -> None:
    tracking.create_run(
        project_id=people.project.pk,
        run_id=run_id,
        experiment_id=tracking.ensure_experiment(people.project.pk, experiment),
        name=f"run {run_id[:2]}",
        user="me",
        tags=tags,
    )


def test_runs_are_adopted_together_each_under_its_callers_name(
    people: People, fake_tracking: Any, django_assert_max_num_queries: Any
) -> None:
    ids = [f"{number:032x}" for number in range(1, 31)]
    for run_id in ids:
        make(people, fake_tracking, run_id)
    child = "c" * 32
    make(people, fake_tracking, child, "other", **{"mlflow.parentRunId": ids[0]})
    contributor, maintainer = people.actor("contributor"), people.actor("maintainer")
    made = [NewRun(contributor if n % 2 else maintainer, run_id) for n, run_id in enumerate([*ids, child])]
    mirror.mirror_experiments(people.project)
    with django_assert_max_num_queries(12):
        adopt_runs(project=people.project, made=[*made, NewRun(contributor, "f" * 32)])
    assert Run.objects.count() == Node.objects.filter(kind="run").count() == 31
    assert Run.objects.get(pk=child).parent == Run.objects.get(pk=ids[0])
    assert {run.experiment.name for run in Run.objects.all()} == {"sweep", "other"}
    authors = AuditEvent.objects.filter(action="run.adopt").values_list("user__username", flat=True)
    assert sorted(authors).count(people.contributor.username) == 15
    adopt_runs(project=people.project, made=made)
    assert Run.objects.count() == 31
    assert AuditEvent.objects.filter(action="run.adopt").count() == 31


def test_one_that_is_adopted_meanwhile_does_not_stop_the_others(
    people: People, fake_tracking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ["a" * 32, "b" * 32]
    for run_id in ids:
        make(people, fake_tracking, run_id)
    actor = people.actor("contributor")
    original = adoption.client_run

    def slower(*given: Any) -> Run:
        monkeypatch.setattr(adoption, "client_run", original)
        adoption.adopt_run(actor=actor, project=people.project, run_id=ids[0])
        return original(*given)

    mirror.mirror_experiments(people.project)
    monkeypatch.setattr(adoption, "client_run", slower)
    adopt_runs(project=people.project, made=[NewRun(actor, run_id) for run_id in ids])
    assert Run.objects.count() == 2


def test_another_projects_runs_are_left_out(people: People, fake_tracking: Any) -> None:
    make(people, fake_tracking, "a" * 32)
    actor = people.actor("contributor")
    adopt_runs(project=people.other_project, made=[NewRun(actor, "a" * 32), NewRun(actor, "b" * 32)])
    assert Run.objects.count() == 0
