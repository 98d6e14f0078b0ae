"""What the pages of jobs and their live fragments show: one context object for both, so they cannot drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from apps.accounts.models import Project
from apps.jobs import queries, rules
from apps.jobs.handlers import kinds
from apps.jobs.models import Job, JobAttempt, JobEvent
from apps.jobs.queries import JobSummary
from apps.jobs.states import CANCELLABLE, LIVE, JobState
from foundation.errors import Invalid
from foundation.ui.listing import Listing, list_page, url_with

ORDERS = {"title": "title", "kind": "kind", "created": "created_at", "started": "started_at"}
TONES = {
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "errored": "purple",
    "lost": "purple",
    "handler_error": "purple",
    "cancelled": "slate",
    "queued": "grey",
    "rule_warned": "amber",
    "rule_stopped": "amber",
}
RULE_WORDS = {"rule_warned": "A rule warns", "rule_stopped": "A rule stops it"}
CODE_ADVICE = {
    "job.timeout": "Give it more time, or less work.",
    "job.memory_limit": "Use less data at once, or a smaller model.",
    "job.out_of_memory": "Use less data at once, or a smaller model.",
    "job.poison": "Look at the log of each attempt before you start it again.",
    "job.disk_full": "An administrator has to free space on the worker.",
}


@dataclass(frozen=True)
class Row:
    """A job in the list."""

    job: Job
    summary: JobSummary


@dataclass(frozen=True)
class ListPage:
    """The list of a project's jobs."""

    listing: Listing
    rows: list[Row]
    states: list[tuple[str, str]]
    state: str
    kinds: list[str]
    poll_url: str
    live: bool

    @classmethod
    def build(cls, request: HttpRequest, project: Project) -> ListPage:
        """From the request's filters; an unknown state shows everything."""
        state = request.GET.get("state", "")
        wanted = sorted(LIVE) if state == "live" else [state] if state else []
        asked: dict[str, Any] = {"kind": request.GET.get("kind", ""), "q": request.GET.get("q", "")}
        try:
            found = queries.jobs_of(project, states=wanted, **asked)
        except Invalid:
            found = queries.jobs_of(project, **asked)
        listing = list_page(request, found, orders=ORDERS, default="-created")
        return cls(
            listing=listing,
            rows=[Row(job, queries.job_summary(job)) for job in listing.rows],
            states=[("live", "Waiting or running"), *JobState.choices],
            state=state,
            kinds=kinds(),
            poll_url=url_with(request),
            live=queries.has_live(project),
        )


@dataclass(frozen=True)
class Moment:
    """A line of the timeline. after: seconds since the line before."""

    event: JobEvent
    word: str
    tone: str
    after: float | None = None


@dataclass(frozen=True)
class JobPage:
    """One job: its facts, progress, timeline, attempts and log."""

    job: Job
    summary: JobSummary
    moments: list[Moment]
    attempts: list[JobAttempt]
    can_cancel: bool
    advice: str
    usage: JobAttempt | None
    log_attempt: int | None = None

    @classmethod
    def build(cls, job: Job, *, log_attempt: int | None = None) -> JobPage:
        """Everything about one job, in two queries beside the job's own. log_attempt: whose log somebody asks for;
        of a number that it does not have, the latest is shown."""
        summary = queries.job_summary(job, history=True)
        return cls(
            job=job,
            summary=summary,
            moments=_moments(summary.events),
            attempts=summary.attempts,
            can_cancel=job.state in CANCELLABLE,
            advice=CODE_ADVICE.get(job.error_code, _advice(job)),
            usage=summary.attempts[-1] if summary.attempts else None,
            log_attempt=log_attempt if log_attempt in {one.number for one in summary.attempts} else None,
        )

    @property
    def patience(self) -> str:
        """What a job that is stopping is given."""
        return f"Its program was asked to end and has {rules.GRACE:g} s; what is left of it then is killed."

    @property
    def title_progress(self) -> str:
        """What the browser tab says while it runs."""
        if self.job.is_terminal:
            return ""
        percent = self.summary.progress.percent
        return f"● {percent} % {self.job.title}" if percent is not None else f"● {self.job.title}"


def _moments(events: list[JobEvent]) -> list[Moment]:
    before = [None, *(event.at for event in events)]
    return [
        _moment(event, None if last is None else (event.at - last).total_seconds())
        for event, last in zip(events, before, strict=False)
    ]


def _moment(event: JobEvent, after: float | None) -> Moment:
    word = dict(JobState.choices).get(event.kind, event.kind.replace("_", " ").capitalize())
    if event.kind == "starting" and event.detail.get("worker"):
        word = f"Taken by {event.detail['worker']}"
    if event.kind == "queued" and event.fence:
        word = "Back in the queue"
        delay = event.detail.get("delay_seconds")
        word += f", tried again after {delay:g} s" if isinstance(delay, int | float) and delay else ""
    if event.kind in RULE_WORDS:
        word = RULE_WORDS[event.kind]
    return Moment(event, word, TONES.get(event.kind, "blue"), after)


def _advice(job: Job) -> str:
    if job.state == JobState.ERRORED:
        return (
            "The fault is on our side. Start it again; if it comes back, tell an administrator the reference."
        )
    return "The log has the details." if job.state == JobState.FAILED and job.fence else ""
