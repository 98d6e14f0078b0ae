"""Runs from submit to their end: one transaction, one id, one state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from apps.accounts.models import AuditEvent
from apps.experiments import actions, adoption, queries
from apps.experiments.access import get_visible_run, is_child
from apps.experiments.models import Experiment, Run
from apps.experiments.states import RunSource
from apps.jobs.models import Job, Outbox
from apps.lineage.models import Edge, Node
from foundation.errors import Conflict, Invalid, NotFound
from tests.experiments.conftest import MakeVersion, iris
from tests.support.people import People

pytestmark = pytest.mark.django_db
Start = Callable[..., Run]


@pytest.mark.django_db(transaction=True)
class TestTheWholeWay:
    """Jobs need transactions of their own: the heart writes from another thread."""

    def test_a_run_succeeds_and_keeps_what_training_answered(
        self,
        make_version: MakeVersion,
        start: Start,
        finish: Callable[[Run], Run],
        fake_tracking: Any,
        people: People,
    ) -> None:
        make_version()
        run = finish(start(target="y", parameters={"C": 0.5}))
        assert (run.state, run.reason) == ("succeeded", "")
        assert run.task == "classification"
        assert run.parameters["C"] == 0.5
        assert run.primary_metric == "accuracy"
        assert run.model["id"].startswith("m-")
        assert run.model["signature"]["outputs"] == [{"type": "string"}]
        data = fake_tracking.runs([run.hex])[run.hex]
        assert data.status == "FINISHED"
        assert data.params["C"] == "0.5"
        assert data.metrics["accuracy"] > 0.3
        assert Node.objects.get(kind="run", key=run.hex).state == "succeeded"
        with pytest.raises(Conflict) as caught:
            actions.cancel_run(actor=people.actor("contributor"), run=run)
        assert caught.value.code == "job.finished"

    def test_bad_data_fails_the_run_with_the_sentence_and_tells_mlflow(
        self, make_version: MakeVersion, start: Start, finish: Callable[[Run], Run], fake_tracking: Any
    ) -> None:
        make_version("flat", iris().assign(target=1))
        run = finish(start(dataset="flat", target="target"))
        assert run.state == "failed"
        assert "one class only" in run.reason
        assert run.job is not None
        assert run.job.error_code == "target.one_class"
        assert run.model is None
        assert fake_tracking.runs([run.hex])[run.hex].status == "FAILED"

    def test_a_waiting_run_is_cancelled_at_once(
        self, make_version: MakeVersion, start: Start, people: People, fake_tracking: Any
    ) -> None:
        make_version()
        run = actions.cancel_run(actor=people.actor("contributor"), run=start())
        assert run.state == "cancelled"
        assert fake_tracking.runs([run.hex])[run.hex].status == "KILLED"
        again = actions.cancel_run(actor=people.actor("contributor"), run=run)
        assert again.state == "cancelled"


def test_submitting_makes_run_job_outbox_lineage_and_audit_together(
    make_version: MakeVersion, start: Start, fake_tracking: Any
) -> None:
    version = make_version()
    run = start(name="my-run", tags={"team": "risk"}, description="why")
    assert Job.objects.get(pk=run.job_id).subject_id == run.hex
    assert Outbox.objects.filter(job=run.job).exists()
    edge = Edge.objects.get(target__key=run.hex)
    assert edge.source.key == str(version.pk)
    assert AuditEvent.objects.filter(action="run.start", subject_id=run.hex).exists()
    data = fake_tracking.runs([run.hex])[run.hex]
    assert data.name == "my-run"
    assert data.tags["team"] == "risk"
    assert data.params["target"] == "y"
    assert data.inputs[0].name == "churn"


def test_nothing_half_made_stays_when_submitting_breaks(
    make_version: MakeVersion, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version()
    monkeypatch.setattr(actions, "record_audits", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        start(experiment="Default")
    assert not Run.objects.exists()
    assert not Job.objects.filter(kind="experiments.train").exists()
    assert not Outbox.objects.exists()
    assert not Node.objects.filter(kind="run").exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"dataset": "nothing"}, "dataset.not_found"),
        ({"dataset": "churn@9"}, "dataset.version_not_found"),
        ({"dataset": "churn@"}, "dataset.reference"),
        ({"dataset": 5}, "run.bad_field"),
        ({"dataset": ""}, "run.missing_field"),
        ({"target": "absent"}, "target.unknown"),
        ({"target": "since"}, "target.unsupported"),
        ({"target": None}, "run.missing_field"),
        ({"target": "a\x00b"}, "text.invalid"),
        ({"task": "clustering"}, "run.bad_field"),
        ({"task": "regression"}, "target.not_numeric"),
        ({"algorithm": "nothing"}, "algorithm.unknown"),
        ({"parameters": {"nothing": 1}}, "parameter.unknown"),
        ({"parameters": {"C": -1}}, "parameter.out_of_range"),
        ({"parameters": {"alpha": 1.0}}, "parameter.unknown"),
        ({"parameters": [1]}, "parameter.invalid"),
        ({"test_size": 1.5}, "run.out_of_range"),
        ({"test_size": "a"}, "run.out_of_range"),
        ({"test_size": float("nan")}, "run.out_of_range"),
        ({"folds": 1}, "run.out_of_range"),
        ({"folds": 2.5}, "run.out_of_range"),
        ({"seed": -1}, "run.out_of_range"),
        ({"seed": 10**400}, "run.out_of_range"),
        ({"name": "a/b"}, "name.invalid"),
        ({"name": "x" * 300}, "name.invalid"),
        ({"name": "a\x00"}, "name.invalid"),
        ({"experiment": "a/b"}, "name.invalid"),
        ({"experiment": "a\x00"}, "text.invalid"),
        ({"experiment": 7}, "name.invalid"),
        ({"tags": ["a"]}, "run.bad_field"),
        ({"tags": {"mlflow.user": "x"}}, "run.reserved_tag"),
        ({"tags": {"a": {}}}, "run.bad_field"),
        ({"features": "age"}, "run.bad_field"),
        ({"features": ["absent"]}, "features.unknown"),
        ({"features": ["y"]}, "features.unknown"),
        ({"colour": "red"}, "run.unknown_field"),
        ({"timeout": 0}, "run.out_of_range"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    make_version: MakeVersion, start: Start, change: dict[str, Any], code: str
) -> None:
    make_version()
    with pytest.raises((Invalid, NotFound)) as caught:
        start(**change)
    assert caught.value.code == code
    assert caught.value.message.endswith(".")
    assert not Run.objects.exists()
    assert not Job.objects.filter(kind="experiments.train").exists()


def test_a_version_that_is_not_ready_cannot_be_trained_on(make_version: MakeVersion, start: Start) -> None:
    make_version(state="pending")
    with pytest.raises(Conflict) as caught:
        start()
    assert caught.value.code == "dataset.not_ready"


def test_an_open_task_keeps_what_was_given_and_leaves_the_rest_to_the_data(
    make_version: MakeVersion, start: Start
) -> None:
    make_version()
    run = start(target="amount", parameters={"alpha": 2})
    assert run.task == ""
    assert run.parameters["alpha"] == 2.0
    assert "C" not in run.parameters


def test_a_stock_clients_run_gets_its_row_once(people: People, fake_tracking: Any) -> None:
    experiment = fake_tracking.ensure_experiment(people.project.pk, "my notebook / 1")
    run_id = "a" * 32
    fake_tracking.create_run(
        project_id=people.project.pk, run_id=run_id, experiment_id=experiment, name="from afar", user="me"
    )
    fake_tracking.start_run(run_id)
    for _ in range(2):
        run = adoption.adopt_run(actor=people.actor("contributor"), project=people.project, run_id=run_id)
    assert Run.objects.count() == 1
    assert (run.source, run.state, run.experiment.name) == (RunSource.CLIENT, "running", "my notebook / 1")
    fake_tracking.finish_run(run_id, "FINISHED")
    adoption.observe_run(
        actor=people.actor("contributor"), project=people.project, run_id=run_id, status="FINISHED"
    )
    assert Run.objects.get().state == "succeeded"
    assert Node.objects.get(kind="run", key=run_id).state == "succeeded"


def test_a_run_that_a_dead_client_left_running_can_be_ended(people: People, fake_tracking: Any) -> None:
    experiment = fake_tracking.ensure_experiment(people.project.pk, "Default")
    run_id = "a" * 32
    fake_tracking.create_run(
        project_id=people.project.pk, run_id=run_id, experiment_id=experiment, name="left", user="me"
    )
    fake_tracking.start_run(run_id)
    actor = people.actor("contributor")
    run = adoption.adopt_run(actor=actor, project=people.project, run_id=run_id)
    assert run.is_cancellable
    client = people.client("contributor")
    assert "Mark as cancelled" in client.get(f"/p/shop/experiments/runs/{run_id}/").content.decode()
    assert client.post(f"/p/shop/experiments/runs/{run_id}/cancel").status_code == 302
    run = get_visible_run(actor, people.project, run_id)
    assert (run.state, fake_tracking.runs([run_id])[run_id].status) == ("cancelled", "KILLED")
    with pytest.raises(Conflict) as caught:
        actions.cancel_run(actor=actor, run=run)
    assert caught.value.code == "run.over"
    actions.trash_run(actor=actor, run=run)


def test_a_run_whose_adoption_was_lost_is_adopted_when_it_is_listed(
    people: People, fake_tracking: Any
) -> None:
    experiment = fake_tracking.ensure_experiment(people.project.pk, "Default")
    fake_tracking.create_run(
        project_id=people.project.pk, run_id="b" * 32, experiment_id=experiment, name="lost", user="me"
    )
    page = queries.find_runs(people.project)
    assert [row.run.name for row in page.rows] == ["lost"]
    assert Run.objects.count() == 1


def test_a_run_is_found_by_its_id_before_its_news_has_come_with_its_author_and_parent(
    people: People, fake_tracking: Any
) -> None:
    experiment = fake_tracking.ensure_experiment(people.project.pk, "Default")
    parent, child, archive = "a" * 32, "b" * 32, "d" * 32
    for run_id, tags in (
        (parent, {}),
        (child, {"mlflow.parentRunId": parent}),
        (archive, {"atelier.archived_from": parent}),
    ):
        fake_tracking.create_run(
            project_id=people.project.pk,
            run_id=run_id,
            experiment_id=experiment,
            name="new",
            user=people.contributor.username,
            tags=tags,
        )
    viewer = people.actor("viewer")
    run = get_visible_run(viewer, people.project, child)
    assert (run.created_by, run.parent and run.parent.hex) == (people.contributor, parent)
    assert is_child(people.project.pk, child, parent)
    assert not is_child(people.project.pk, parent, child)
    assert not is_child(people.other_project.pk, child, parent)
    for unknown in (archive, "e" * 32):
        with pytest.raises(NotFound):
            get_visible_run(viewer, people.project, unknown)
    with pytest.raises(NotFound):
        get_visible_run(viewer, people.other_project, child)


def test_another_projects_run_is_never_adopted(people: People, fake_tracking: Any) -> None:
    experiment = fake_tracking.ensure_experiment(people.other_project.pk, "Default")
    fake_tracking.create_run(
        project_id=people.other_project.pk, run_id="c" * 32, experiment_id=experiment, name="theirs", user="x"
    )
    with pytest.raises(NotFound):
        adoption.adopt_run(actor=people.actor("contributor"), project=people.project, run_id="c" * 32)


def test_a_working_run_stays_out_of_the_trash(
    make_version: MakeVersion, start: Start, people: People
) -> None:
    make_version()
    run = start()
    with pytest.raises(Conflict) as caught:
        actions.trash_run(actor=people.actor("contributor"), run=run)
    assert caught.value.code == "run.busy"
    with pytest.raises(Conflict):
        actions.trash_experiment(actor=people.actor("contributor"), experiment=run.experiment)


def test_trash_and_restore_reach_mlflow_and_the_lineage(
    make_version: MakeVersion, start: Start, people: People, fake_tracking: Any
) -> None:
    make_version()
    actor = people.actor("contributor")
    run = actions.cancel_run(actor=actor, run=start())
    actions.trash_run(actor=actor, run=run)
    assert fake_tracking.runs([run.hex])[run.hex].deleted
    assert not Node.objects.get(kind="run", key=run.hex).alive
    assert queries.find_runs(people.project).rows == []
    assert len(queries.find_runs(people.project, trashed=True).rows) == 1
    actions.restore_run(actor=actor, run=run)
    assert len(queries.find_runs(people.project).rows) == 1


def test_experiments_follow_what_clients_do_in_mlflow(people: People, fake_tracking: Any) -> None:
    number = fake_tracking.ensure_experiment(people.project.pk, "first name")
    assert "first name" in {s.experiment.name for s in queries.experiments_of(people.project)}
    fake_tracking.rename_experiment(people.project.pk, number, "second name")
    names = {s.experiment.name for s in queries.experiments_of(people.project)}
    assert "second name" in names
    assert "first name" not in names
    fake_tracking.delete_experiment(people.project.pk, number)
    assert "second name" not in {s.experiment.name for s in queries.experiments_of(people.project)}
    assert "second name" in {s.experiment.name for s in queries.experiments_of(people.project, trashed=True)}


def test_an_experiments_name_is_taken_once(people: People) -> None:
    actor = people.actor("contributor")
    actions.create_experiment(actor=actor, project=people.project, name="one")
    with pytest.raises(Conflict):
        actions.create_experiment(actor=actor, project=people.project, name="one")
    two = actions.create_experiment(actor=actor, project=people.project, name="two")
    with pytest.raises(Conflict):
        actions.update_experiment(actor=actor, experiment=two, name="one")
    assert set(Experiment.objects.filter(project=people.project).values_list("name", flat=True)) >= {
        "one",
        "two",
    }
