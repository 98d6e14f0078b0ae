"""Tokens for children that talk to the studio: bound to project, job and fence, dead with the attempt."""

from __future__ import annotations

from apps.accounts.states import Scope
from apps.accounts.tokens import issue_job_token
from apps.jobs.models import Job


def issue(job: Job, scopes: str = Scope.WRITE) -> str:
    """A new secret for the job's present attempt, acting for the person who submitted it (never above
    contributor). `finish` revokes it in the same transaction that ends the attempt.

    Raises ValueError for a job without project or submitter: there is nobody to act for.
    """
    if job.project is None or job.created_by is None:
        raise ValueError(f"job {job.pk} has no project or no submitter: it gets no token")
    return issue_job_token(
        user=job.created_by, project=job.project, job_id=job.pk, fence=job.fence, scope=scopes
    )
