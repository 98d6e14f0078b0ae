"""What people are told: each function here writes notifications inside the transaction of what happened."""

from __future__ import annotations

import datetime

from django.urls import reverse

from apps.accounts.events import InvitationAccepted
from apps.accounts.models import Invitation, Project, User
from apps.accounts.queries import people_of
from apps.accounts.states import Role
from apps.deployments.actions import page_path
from apps.deployments.events import DeploymentBroke
from apps.deployments.models import Deployment
from apps.deployments.states import DeploymentState
from apps.experiments.events import RuleApplied, RunsCompared
from apps.experiments.models import Run
from apps.inbox import actions
from apps.inbox.models import Watch
from apps.inbox.states import Kind
from apps.jobs.events import JobMoved, ScheduleStopped
from apps.jobs.models import Job
from apps.jobs.schedules.models import Schedule
from apps.jobs.states import TERMINAL, JobState
from apps.monitoring.events import ReportFinished
from apps.monitoring.models import Monitor
from apps.pipelines.events import PipelineRunFinished
from apps.pipelines.models import NodeRun, PipelineRun
from apps.pipelines.states import PipelineRunState, StartedBy
from apps.registry.events import PromotionMoved
from apps.registry.models import Promotion
from apps.registry.states import PromotionState
from apps.tuning.events import StudyFinished
from apps.tuning.models import Study
from apps.tuning.states import StudyState
from foundation.clock import now
from foundation.events import record

#: a job that ran so long is worth a word when it succeeds
LONG = datetime.timedelta(seconds=60)
#: their end is told as what they are part of: a promotion, a deployment, a study, a pipeline
PARTS = frozenset({"registry.check", "deployments.build", "tuning.trial"})
BROKEN = frozenset({JobState.FAILED, JobState.ERRORED, JobState.TIMED_OUT})
ENDED = {
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.ERRORED: "ended by a mistake of ours",
    JobState.TIMED_OUT: "ran out of time",
    JobState.CANCELLED: "was cancelled",
}


def maintainers(project: Project, *also: User | None) -> list[User]:
    """People who may do something about it, and those whose own it is, whatever their role."""
    found = {user.pk: user for user in people_of(project, role=Role.MAINTAINER)}
    found |= {user.pk: user for user in also if user is not None and user.is_active}
    return [user for user in found.values() if not user.is_service]


@record(JobMoved, when=lambda event: event.state in TERMINAL and event.project_id is not None)
def job_moved(event: JobMoved) -> None:
    """A job is over: its owner hears of a failure and of the end of a long one, and whoever asked of any end."""
    job = Job.objects.select_related("project", "created_by").get(pk=event.job_id)
    people = {watch.user_id: watch.user for watch in Watch.objects.filter(job=job).select_related("user")}
    asked = bool(people)
    broken = job.state in BROKEN
    owner = job.created_by
    if owner is not None and not owner.is_service and _own_news(job, owner, broken):
        people[owner.pk] = owner
    if not people:
        return
    actions.tell(
        people.values(),
        kind=Kind.JOB_FAILED if broken else Kind.JOB_ENDED,
        key=f"job:{job.pk}",
        sentence=f"{job.title} {ENDED[JobState(job.state)]}",
        detail=job.reason if broken or job.state == JobState.CANCELLED else "",
        state=job.state,
        url=page_of(job),
        project=job.project,
    )
    if asked:
        Watch.objects.filter(job=job).delete()


def _own_news(job: Job, owner: User, broken: bool) -> bool:
    if job.kind in PARTS or job.parent_id is not None:
        return False
    if job.state == JobState.CANCELLED:
        return job.cancel_requested_by_id not in (None, owner.pk)
    long = job.started_at is not None and (job.finished_at or now()) - job.started_at > LONG
    return (broken or long) and not NodeRun.objects.filter(job=job).exists()


def page_of(job: Job) -> str:
    """Where one looks at a job: at the run that it trains, else at itself."""
    assert job.project is not None
    if job.subject_kind == "run":
        return reverse("experiments:run", args=[job.project.slug, job.subject_id.replace("-", "")])
    return reverse("jobs:detail", args=[job.project.slug, job.pk])


@record(PromotionMoved)
def promotion_moved(event: PromotionMoved) -> None:
    """A promotion waits for maintainers; or is decided, which whoever asked for it hears."""
    promotion = Promotion.objects.select_related(
        "version__model", "version__project", "project", "created_by", "decided_by"
    ).get(pk=event.promotion_id)
    what = f"{promotion.version.label} to {promotion.alias}"
    waits, asker = f"promotion:{promotion.pk}:waits", promotion.created_by
    if promotion.state == PromotionState.AWAITING_APPROVAL:
        may = maintainers(promotion.project)
        # One's own is approved by somebody else, unless there is nobody else.
        others = [user for user in may if asker is None or user.pk != asker.pk]
        actions.tell(
            others or may,
            kind=Kind.PROMOTION_WAITS,
            key=waits,
            sentence=f"The promotion of {what} waits for your approval",
            detail=f"{asker.label}: {promotion.comment}" if asker and promotion.comment else "",
            state=promotion.state,
            url=promotion.version.url,
            project=promotion.project,
        )
        return
    by = f" by {promotion.decided_by.label}" if promotion.decided_by else ""
    words = {
        PromotionState.APPLIED: f"The promotion of {what} was approved{by}" if by else f"{what} is promoted",
        PromotionState.REFUSED: f"The promotion of {what} was refused by its checks",
        PromotionState.REJECTED: f"The promotion of {what} was rejected{by}",
        PromotionState.FAILED: f"The promotion of {what} failed",
    }
    actions.settle(key=waits, sentence=words[PromotionState(promotion.state)], state=promotion.state)
    if asker is None or asker.is_service or promotion.decided_by_id == asker.pk:
        return
    actions.tell(
        [asker],
        kind=Kind.PROMOTION_DECIDED,
        key=f"promotion:{promotion.pk}:decided",
        sentence=words[PromotionState(promotion.state)],
        detail=promotion.decision or promotion.reason,
        state=promotion.state,
        url=promotion.version.url,
        project=promotion.project,
    )


@record(ReportFinished)
def report_finished(event: ReportFinished) -> None:
    """A report opened alerts: one notification for all of them."""
    if not event.opened:
        return
    monitor = Monitor.objects.select_related("project", "created_by").get(pk=event.monitor_id)
    alerts = monitor.alerts.filter(report=event.report_id).order_by("-created_at", "-value")
    names = list(dict.fromkeys(alerts.values_list("feature", flat=True)[: event.opened]))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    actions.tell(
        maintainers(monitor.project, monitor.created_by),
        kind=Kind.ALERT,
        key=f"report:{event.report_id}",
        sentence=f"{monitor.name}: {len(names)} feature{'s' if len(names) != 1 else ''} drifted",
        detail=", ".join(names[:5]) + more,
        state="drifting",
        url=monitor.get_absolute_url(),
        project=monitor.project,
    )


@record(DeploymentBroke)
def deployment_broke(event: DeploymentBroke) -> None:
    """A deployment failed or runs badly; at most once an hour for the same state, however often it flaps."""
    deployment = Deployment.objects.select_related("project", "created_by").get(pk=event.deployment_id)
    failed = event.state == DeploymentState.FAILED
    actions.tell(
        maintainers(deployment.project, deployment.created_by),
        kind=Kind.DEPLOYMENT_FAILED,
        key=f"deployment:{deployment.pk}:{event.state}:{now():%Y%m%d%H}",
        sentence=f"The deployment {deployment.name} {'failed' if failed else 'answers, but is degraded'}",
        detail=event.reason,
        state=event.state,
        url=page_path(deployment),
        project=deployment.project,
    )


@record(InvitationAccepted)
def invitation_accepted(event: InvitationAccepted) -> None:
    """Whoever invited hears that it was used."""
    invitation = Invitation.objects.select_related("team", "invited_by").get(pk=event.invitation_id)
    joined = User.objects.get(pk=event.user_id)
    actions.tell(
        [invitation.invited_by],
        kind=Kind.INVITATION_ACCEPTED,
        key=f"invitation:{invitation.pk}",
        sentence=f"{joined.label} joined {invitation.team.name}",
        state="ready",
        url=reverse("accounts:team", args=[invitation.team.slug]),
        but=joined,
    )


@record(RuleApplied)
def rule_applied(event: RuleApplied) -> None:
    """A rule of a run found something: whoever started the run hears it once for each rule."""
    run = Run.objects.select_related("project", "created_by").get(pk=event.run_id)
    if run.created_by is None or run.created_by.is_service:
        return
    actions.tell(
        [run.created_by],
        kind=Kind.RULE_APPLIED,
        key=f"rule:{run.hex}:{event.place}",
        sentence=f"{run.name} was stopped by a rule"
        if event.state == "stopped"
        else f"A rule warns of {run.name}",
        detail=event.message,
        state=event.state,
        url=reverse("experiments:run", args=[run.project.slug, run.hex]),
        project=run.project,
    )


@record(RunsCompared)
def runs_compared(event: RunsCompared) -> None:
    """A step of the first steps is done."""
    actions.note_comparison(user_id=event.user_id, project_id=event.project_id)


@record(StudyFinished)
def study_finished(event: StudyFinished) -> None:
    """Whoever started a study hears that it ended, unless they stopped it themselves."""
    study = Study.objects.select_related("project", "created_by").get(pk=event.study_id)
    owner = study.created_by
    by_hand = (
        study.state == StudyState.STOPPED
        and owner is not None
        and study.reason == f"Stopped by {owner.username}."
    )
    if owner is None or owner.is_service or by_hand:
        return
    actions.tell(
        [owner],
        kind=Kind.STUDY_ENDED,
        key=f"study:{study.pk}:{study.finished_at:%Y%m%d%H%M%S}",
        sentence=f"The study {study.name} {study.get_state_display().lower()}",
        detail=study.reason,
        state=study.state,
        url=reverse("tuning:detail", args=[study.project.slug, study.name]),
        project=study.project,
    )


@record(PipelineRunFinished)
def pipeline_run_finished(event: PipelineRunFinished) -> None:
    """A failed run is told to whoever started it, one that a schedule started to everybody who looks after it."""
    if event.state != PipelineRunState.FAILED:
        return
    run = PipelineRun.objects.select_related("pipeline__project", "project", "created_by").get(
        pk=event.run_id
    )
    alone = run.source == StartedBy.PERSON and run.created_by is not None
    people = [run.created_by] if alone and run.created_by else maintainers(run.project, run.created_by)
    actions.tell(
        [person for person in people if not person.is_service],
        kind=Kind.PIPELINE_FAILED,
        key=f"pipeline_run:{run.pk}",
        sentence=f"The pipeline run {run.label} failed",
        detail=run.reason,
        state=run.state,
        url=run.get_absolute_url(),
        project=run.project,
    )


@record(ScheduleStopped)
def schedule_stopped(event: ScheduleStopped) -> None:
    """A schedule switched itself off: whoever set it, and those who can set it anew."""
    schedule = Schedule.objects.select_related("project", "created_by", "acts_as").get(pk=event.schedule_id)
    actions.tell(
        maintainers(schedule.project, schedule.created_by, schedule.acts_as),
        kind=Kind.SCHEDULE_DISABLED,
        key=f"schedule:{schedule.pk}:{now():%Y%m%d%H%M}",
        sentence=f"A schedule ({schedule.cron}) has switched itself off",
        detail=event.reason,
        state="stopped",
        url=schedule.get_absolute_url(),
        project=schedule.project,
    )
