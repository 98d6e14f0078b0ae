"""What a project's home shows: running, failed, in production, drifting, recent."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from apps.accounts.models import Project
from atelier.home import parts
from foundation.clock import now


@dataclass(frozen=True)
class Overview:
    """Everything the home page shows. running and failed are the newest few, with their whole numbers beside."""

    running: list[parts.Entry] = field(default_factory=list)
    running_total: int = 0
    failed: list[parts.Entry] = field(default_factory=list)
    failed_total: int = 0
    waiting: list[parts.Entry] = field(default_factory=list)
    drifting: list[parts.Entry] = field(default_factory=list)
    drifting_total: int = 0
    served: list[parts.Served] = field(default_factory=list)
    predictions: int = 0
    datasets: list[parts.Entry] = field(default_factory=list)
    runs: list[parts.Entry] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has happened in this project."""
        return not (self.running or self.failed or self.served or self.runs or self.datasets)

    @property
    def is_live(self) -> bool:
        """Whether anything is going on, so that the page should look again."""
        return bool(self.running) or any(item.state in ("starting", "stopping") for item in self.served)


def overview(project: Project, *, moment: datetime.datetime | None = None) -> Overview:
    """Everything the home page of a project shows, at ``moment`` (default: now)."""
    moment = moment or now()
    running, running_total = parts.running_jobs(project)
    failed, failed_total = parts.failed_jobs(project, since=moment - datetime.timedelta(days=7))
    served = parts.served(project, moment)
    drifting = parts.drifting(project)
    datasets, runs = parts.recent_datasets(project), parts.recent_runs(project)
    return Overview(
        running=running,
        running_total=running_total,
        failed=failed,
        failed_total=failed_total,
        waiting=parts.waiting_promotions(project),
        drifting=drifting[: parts.SHOWN],
        drifting_total=len(drifting),
        served=served,
        predictions=sum(item.total for item in served),
        datasets=datasets,
        runs=runs,
    )
