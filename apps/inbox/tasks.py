"""The job that sends a message, and the chores that make messages of news, try again, and clear up."""

from __future__ import annotations

from typing import Any

from apps.inbox import mailing
from apps.jobs.chores import chore
from apps.jobs.handlers import JobContext, handles
from apps.jobs.models import Job


@handles(mailing.KIND, where="platform")
class Send:
    """One message to the mail server."""

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """A server that is down is tried again, first by this job and then by the chore."""
        return {"state": mailing.send(ctx.job.spec["message"])}

    def ended(self, job: Job) -> None:
        """It could not be sent now, or never."""
        mailing.put_off(key=job.spec["message"], reason=job.reason, for_good=job.error_code == "mail.refused")


@chore("inbox.digest", every=5.0)
def make_messages() -> None:
    """News that have waited long enough become messages."""
    mailing.digest()


@chore("inbox.post", every=15.0)
def send_waiting() -> None:
    """Messages that the server did not take are sent again."""
    mailing.post_again()


@chore("inbox.tidy", every=6 * 3600.0)
def clear_up() -> None:
    """What is older than half a year goes."""
    mailing.tidy()
