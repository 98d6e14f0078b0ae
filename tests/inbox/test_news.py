"""Who is told what: each piece of news, once, for the right people, in the transaction of what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from apps.accounts.access import SYSTEM
from apps.accounts.actions import create_user, remove_member, set_member
from apps.accounts.actions.invitations import accept_invitation, create_invitation
from apps.datasets.models import Dataset, DatasetVersion
from apps.deployments.models import Deployment
from apps.deployments.reports import set_state
from apps.deployments.states import DeploymentState
from apps.experiments.models import Experiment, Run
from apps.inbox import actions, news, queries
from apps.inbox.models import Notification, Watch
from apps.inbox.states import Channel, Kind
from apps.jobs.actions import request_cancel
from apps.jobs.events import JobMoved, ScheduleStopped
from apps.jobs.models import Job
from apps.jobs.schedules.models import Schedule
from apps.pipelines.events import PipelineRunFinished
from apps.pipelines.models import Pipeline, PipelineRun, PipelineVersion
from apps.registry import promoting
from apps.tuning.events import StudyFinished
from apps.tuning.models import Study
from foundation import events
from foundation.clock import now
from tests.inbox.conftest import end
from tests.registry.conftest import FAILED
from tests.support.people import People

pytestmark = pytest.mark.django_db


def told(people: People, name: str) -> list[tuple[str, str]]:
    """(kind, sentence) of a persona's notifications, oldest first."""
    rows = queries.inbox(people.actor(name)).order_by("created_at", "pk")
    return list(rows.values_list("kind", "sentence"))


def test_a_failed_job_is_told_to_its_owner_alone(people: People, ended: Callable[..., Job]) -> None:
    job = ended("failed", reason="The file is empty.")
    assert told(people, "contributor") == [(Kind.JOB_FAILED, "Train calm-otter failed")]
    found = Notification.objects.get()
    assert (found.detail, found.state, found.url) == (
        "The file is empty.",
        "failed",
        f"/p/shop/jobs/{job.pk}/",
    )


@pytest.mark.parametrize(("seconds", "count"), [(59, 0), (61, 1)])
def test_success_is_worth_a_word_after_a_minute(
    people: People, ended: Callable[..., Job], seconds: int, count: int
) -> None:
    ended("succeeded", seconds=seconds)
    assert len(told(people, "contributor")) == count


def test_parts_of_something_else_are_not_told(people: People, ended: Callable[..., Job], submit: Any) -> None:
    parent = submit(project=people.project, created_by=people.contributor)
    ended("failed", parent=parent)
    job = submit(project=people.project, created_by=people.contributor)
    Job.objects.filter(pk=job.pk).update(kind="registry.check")
    news.job_moved(_moved(job, "failed"))
    assert told(people, "contributor") == []


def _moved(job: Job, state: str) -> Any:
    Job.objects.filter(pk=job.pk).update(state=state, finished_at=now())
    job.refresh_from_db()
    return JobMoved(job.pk, job.project_id, job.kind, state, job.fence, "", "")


def test_cancelling_ones_own_job_is_no_news_but_anothers_is(
    people: People, submit: Callable[..., Job]
) -> None:
    for name in ("contributor", "maintainer"):
        job = submit(project=people.project, created_by=people.contributor, title=f"By {name}")
        request_cancel(job=job, actor=people.actor(name))
    assert told(people, "contributor") == [(Kind.JOB_ENDED, "By maintainer was cancelled")]


def test_whoever_asked_is_told_of_any_end_once(people: People, submit: Callable[..., Job]) -> None:
    job = submit(project=people.project, created_by=people.contributor, title="Read churn")
    for name in ("contributor", "viewer"):
        actions.watch_job(actor=people.actor(name), job=job, wanted=True)
        actions.watch_job(actor=people.actor(name), job=job, wanted=True)
    end(job, "succeeded", seconds=1)
    for name in ("contributor", "viewer"):
        assert told(people, name) == [(Kind.JOB_ENDED, "Read churn succeeded")]
    assert not Watch.objects.exists()
    client = people.client("viewer")
    answer = client.post(f"/p/shop/jobs/{job.pk}/watch", {"wanted": "1"}, follow=True)
    assert "already over" in answer.content.decode()


def test_nothing_is_told_twice(people: People, ended: Callable[..., Job]) -> None:
    job = ended("failed")
    news.job_moved(_moved(job, "failed"))
    assert Notification.objects.count() == 1


def test_news_and_what_they_tell_stand_or_fall_together(people: People, ended: Callable[..., Job]) -> None:
    with transaction.atomic():
        ended("failed")
        assert Notification.objects.count() == 1
        transaction.set_rollback(True)
    assert Notification.objects.count() == 0


def test_a_mistake_in_telling_does_not_keep_a_job_from_ending(
    people: People, ended: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        Notification.objects.create(user=people.viewer, kind="x", sentence="half", url="/", key="half")
        raise ZeroDivisionError

    monkeypatch.setattr(actions, "tell", broken)
    assert ended("failed").state == "failed"
    assert "recorder job_moved failed" in caplog.text
    assert Notification.objects.count() == 0


def test_a_recorder_writes_in_the_publishers_transaction(people: People) -> None:
    class Rung: ...

    @events.record(Rung)
    def write(event: Rung) -> None:
        Notification.objects.create(user=people.viewer, kind=Kind.ALERT, sentence="rung", url="/", key="rung")

    with transaction.atomic():
        events.publish(Rung())
        assert Notification.objects.filter(key="rung").exists()
        transaction.set_rollback(True)
    assert not Notification.objects.filter(key="rung").exists()


def test_a_promotion_waits_for_maintainers_and_its_end_is_told(
    people: People, make_version: Callable[..., Any], promote: Callable[..., Any]
) -> None:
    promotion = promote(make_version())
    sentence = "The promotion of churn/1 to production waits for your approval"
    for name in ("maintainer", "owner"):
        assert told(people, name) == [(Kind.PROMOTION_WAITS, sentence)]
    assert told(people, "contributor") == told(people, "viewer") == []
    promoting.approve(actor=people.actor("maintainer"), promotion=promotion, comment="Good.")
    kind, sentence = told(people, "contributor")[0]
    assert (kind, sentence) == (
        Kind.PROMOTION_DECIDED,
        "The promotion of churn/1 to production was approved by maintainer",
    )
    assert queries.unread_count(people.actor("owner")) == 0, "nothing waits for the owner any more"
    assert told(people, "owner") == [(Kind.PROMOTION_WAITS, sentence)], "and the words say what became of it"


def test_refused_and_rejected_promotions_say_why(
    people: People, make_version: Callable[..., Any], promote: Callable[..., Any]
) -> None:
    version = make_version()
    promote(version, checks=FAILED)
    promotion = promote(version)
    promoting.reject(actor=people.actor("owner"), promotion=promotion, comment="Not before Monday.")
    details = Notification.objects.filter(kind=Kind.PROMOTION_DECIDED).order_by("created_at")
    assert list(details.values_list("state", "detail")) == [
        ("refused", "It is worse."),
        ("rejected", "Not before Monday."),
    ]


def test_a_maintainers_own_promotion_waits_for_the_others(
    people: People, make_version: Callable[..., Any], promote: Callable[..., Any]
) -> None:
    promote(make_version(), by="maintainer")
    assert told(people, "maintainer") == []
    assert len(told(people, "owner")) == 1


def test_a_broken_deployment_is_told_once_an_hour_however_it_flaps(people: People) -> None:
    deployment = Deployment.objects.create(
        project=people.project, created_by=people.contributor, name="live", model_ref="churn/1", model_name="churn",
        state=DeploymentState.READY,
    )  # fmt: skip
    for _ in range(3):
        set_state(deployment.pk, DeploymentState.DEGRADED, reason="It has crashed 3 times.")
        set_state(deployment.pk, DeploymentState.READY)
    assert told(people, "maintainer") == [
        (Kind.DEPLOYMENT_FAILED, "The deployment live answers, but is degraded")
    ]
    assert len(told(people, "contributor")) == 1, "it is their own"
    assert told(people, "viewer") == []


def test_whoever_invited_hears_that_it_was_used(people: People) -> None:
    owner = people.actor("owner")
    invitation, _ = create_invitation(actor=owner, team=people.team, role="viewer")
    accept_invitation(actor=people.actor("stranger"), invitation=invitation)
    assert told(people, "owner") == [(Kind.INVITATION_ACCEPTED, "stranger joined Red team")]


def test_a_kind_that_is_off_is_not_told(people: People, ended: Callable[..., Job]) -> None:
    actions.choose_channels(actor=people.actor("contributor"), channels={Kind.JOB_FAILED: Channel.OFF})
    ended("failed")
    assert told(people, "contributor") == []


def test_services_and_the_inactive_are_not_told(people: People, ended: Callable[..., Job]) -> None:
    robot = create_user(actor=SYSTEM, username="robot", password=None, is_service=True)
    set_member(actor=people.actor("owner"), team=people.team, username="robot", role="maintainer")
    people.users["robot"] = robot
    ended("failed", by="robot")
    assert Notification.objects.count() == 0


def test_a_member_who_left_no_longer_sees_the_projects_news(
    people: People, ended: Callable[..., Job]
) -> None:
    ended("failed")
    assert queries.unread_count(people.actor("contributor")) == 1
    remove_member(actor=people.actor("owner"), team=people.team, username="contributor")
    assert told(people, "contributor") == []
    assert queries.unread_count(people.actor("contributor")) == 0
    page = people.client("contributor").get("/account/inbox")
    assert "calm-otter" not in page.content.decode()


def test_a_failed_pipeline_is_told_to_whoever_started_it_or_looks_after_it(people: People) -> None:
    pipeline = Pipeline.objects.create(project=people.project, created_by=people.contributor, name="nightly")
    version = PipelineVersion.objects.create(pipeline=pipeline, number=1, source="{}", digest="d")
    common = {
        "project": people.project,
        "pipeline": pipeline,
        "version": version,
        "created_by": people.contributor,
    }
    for number, (source, state) in enumerate(
        [("person", "succeeded"), ("person", "failed"), ("schedule", "failed")], 1
    ):
        run = PipelineRun.objects.create(
            **common, number=number, source=source, state=state, reason="The node train failed."
        )
        events.publish(
            PipelineRunFinished(
                project_id=people.project.pk, pipeline_id=pipeline.pk, run_id=run.pk, state=state
            )
        )
    second, third = "The pipeline run nightly #2 failed", "The pipeline run nightly #3 failed"
    assert told(people, "contributor") == [(Kind.PIPELINE_FAILED, second), (Kind.PIPELINE_FAILED, third)]
    assert told(people, "maintainer") == [(Kind.PIPELINE_FAILED, third)]
    assert told(people, "viewer") == []


def test_a_schedule_that_switched_itself_off_is_told(people: People) -> None:
    schedule = Schedule.objects.create(
        project=people.project, kind="pipelines.run", subject_id="x", cron="0 2 * * *", timezone="UTC", enabled=False,
        created_by=people.contributor, acts_as=people.contributor,
    )  # fmt: skip
    events.publish(
        ScheduleStopped(schedule.pk, people.project.pk, people.contributor.pk, "It is in the trash.")
    )
    for name in ("contributor", "maintainer", "owner"):
        assert told(people, name) == [
            (Kind.SCHEDULE_DISABLED, "A schedule (0 2 * * *) has switched itself off")
        ]
    assert told(people, "viewer") == []


@pytest.mark.parametrize(
    ("state", "reason", "count"),
    [("completed", "", 1), ("failed", "5 trials failed.", 1), ("stopped", "Stopped by contributor.", 0), ("stopped", "Stopped by owner.", 1)],
)  # fmt: skip
def test_a_study_is_told_unless_one_stopped_it_oneself(
    people: People, state: str, reason: str, count: int
) -> None:
    common = {"project": people.project, "created_by": people.contributor}
    dataset = Dataset.objects.create(**common, name="churn")
    version = DatasetVersion.objects.create(
        **common, dataset=dataset, number=1, upload_digest="d", upload_bytes=1
    )
    experiment = Experiment.objects.create(**common, mlflow_id="7", name="e")
    run = Run.objects.create(
        **common, experiment=experiment, name="s", client_state="succeeded", source="study"
    )
    study = Study.objects.create(
        **common, name="wide", experiment=experiment, dataset_version=version, target="y", task="classification",
        algorithm="linear", search_space={}, objectives=[], sampler="random", pruner="none", n_trials=3, seed=1,
        run=run, state=state, reason=reason, finished_at=now(),
    )  # fmt: skip
    events.publish(StudyFinished(study_id=study.pk, project_id=people.project.pk, state=state))
    assert told(people, "contributor") == [(Kind.STUDY_ENDED, f"The study wide {state}")] * count
