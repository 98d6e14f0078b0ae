"""The log of a job in a page: its first lines, how the page goes on from there, and the search in it."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.jobs import log_lines, logs
from apps.jobs.api import whole_number
from apps.jobs.log_lines import Found, Piece
from apps.jobs.models import Job, JobAttempt
from foundation.errors import AtelierError


@dataclass(frozen=True)
class Reading:
    """Whose log is read, and where: None as long as nobody has taken the job."""

    job: Job
    row: JobAttempt | None
    asked: int | None

    @classmethod
    def of(cls, job: Job, attempt: int | None) -> Reading:
        """The log of an attempt, or of the latest."""
        return cls(job, logs.attempt_of(job, attempt), attempt)

    @property
    def source(self) -> logs.LogSource | None:
        """Its bytes."""
        return None if self.row is None else logs.source_of(self.job, self.row)

    @property
    def over(self) -> bool:
        """Whether this attempt writes nothing any more."""
        return self.job.is_terminal if self.row is None else self.row.finished_at is not None


@dataclass(frozen=True)
class LogPane:
    """The end of a log, and where the rest of it comes from. line: number of the first line shown."""

    html: SafeString
    piece: Piece
    url: str
    search_url: str
    download_url: str
    live: bool

    @classmethod
    def build(cls, job: Job, *, attempt: int | None = None) -> LogPane:
        """A long log is shown from its last lines on; what is above comes when somebody asks for it."""
        names = {"project": job.project.slug if job.project else "", "job": job.pk}
        reading = Reading.of(job, attempt)
        piece = log_lines.last_piece(reading.source, ended=reading.over)
        extra = f"?attempt={attempt}" if attempt is not None else ""
        number = reading.row.number if reading.row else 0
        follow = extra or (f"?follow&attempt={number}" if number else "?follow")
        return cls(
            html=piece.html,
            piece=piece,
            url=reverse("jobs:log", kwargs=names) + follow,
            search_url=reverse("jobs:log-search", kwargs=names) + extra,
            download_url=reverse("jobs:log-download", kwargs=names) + extra,
            live=not (reading.over and (attempt is not None or job.is_terminal)),
        )


def log_answer(request: HttpRequest, job: Job) -> HttpResponse:
    """Lines as HTML, with where to go on in the headers."""
    reading = Reading.of(job, whole_number(request, "attempt", None))
    piece = _asked_piece(request, reading)
    response = HttpResponse(piece.html)
    for name, value in (
        ("X-Start", piece.start),
        ("X-Line", piece.line),
        ("X-Next-Offset", piece.next),
        ("X-Next-Line", piece.next_line),
        ("X-Style", piece.style),
        ("X-Whole", int(piece.whole)),
    ):
        response.headers[name] = str(value)
    following, number = "follow" in request.GET, reading.row.number if reading.row else 0
    complete = reading.over and piece.whole
    more = following and 0 < number < job.fence and complete
    if more:
        response.headers["X-Next-Attempt"] = str(number + 1)
    if following and number:
        response.headers["X-Attempt"] = str(number)
    live = more or not complete or (following and not job.is_terminal)
    response.headers["X-Live"] = "1" if live else "0"
    response.headers["Cache-Control"] = "no-store"
    return response


def _asked_piece(request: HttpRequest, reading: Reading) -> Piece:
    source, ended = reading.source, reading.over
    before, around = whole_number(request, "before", None), whole_number(request, "around", None)
    line = max(1, whole_number(request, "line", 1) or 1)
    if before is not None:
        return log_lines.piece_before(source, end=before, line=line)
    if around is not None:
        return log_lines.piece_around(source, wanted=around, ended=ended)
    offset = whole_number(request, "offset", None)
    if offset is None:
        return log_lines.last_piece(source, ended=ended)
    style = request.GET.get("style", "")
    return log_lines.piece_at(source, offset=offset, line=line, style=style, ended=ended)


@dataclass(frozen=True)
class SearchPage:
    """What a search in a log has found."""

    q: str
    found: Found | None
    problem: AtelierError | None
    attempt: int
    next_url: str

    @classmethod
    def build(cls, request: HttpRequest, job: Job) -> SearchPage:
        """From ?q= and ?after= (a line's number); words that cannot be searched become a sentence."""
        asked = whole_number(request, "attempt", None)
        reading = Reading.of(job, asked)
        q, found, problem, following = request.GET.get("q", ""), None, None, ""
        try:
            after = whole_number(request, "after", 0) or 0
            found = log_lines.search(reading.source, q, after=after) if q else None
            if found and found.hits and found.more_behind:
                parameters = request.GET.copy()
                parameters["after"] = str(found.hits[-1].line)
                following = f"{request.path}?{parameters.urlencode()}"
        except AtelierError as error:
            problem = error
        return cls(q, found, problem, reading.row.number if reading.row else 0, following)
