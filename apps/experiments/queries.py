"""Reads: runs with what MLflow knows of them, filtered in MLflow's grammar; curves, comparisons."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet
from django.db.models.functions import Coalesce

from adapters.tracking import MetricPoint, RunData, get_tracking
from apps.accounts.models import Project
from apps.experiments import algorithms
from apps.experiments.adoption import adopt_missing, refresh_client_run
from apps.experiments.metric_catalogue import METRICS, PRIMARY
from apps.experiments.mirror import mirror_experiments
from apps.experiments.models import Experiment, Run
from apps.experiments.state_filter import by_state
from apps.experiments.states import RunSource
from apps.jobs.states import LIVE
from foundation.clock import now
from foundation.errors import Invalid

#: Words of ?order_by= and what they are in MLflow.
ORDER_WORDS = {
    "created_at": "attributes.start_time",
    "started_at": "attributes.start_time",
    "finished_at": "attributes.end_time",
    "name": "attributes.run_name",
    "state": "attributes.status",
}
_SPLIT_KEYS = ("algorithm", "target", "task", "seed", "test_size", "folds")


@dataclass(frozen=True)
class RunRow:
    """A run with what was logged to it. metrics: latest values; parameters: typed for the studio's own
    runs, strings for clients'; tags: the user's, without those of MLflow and of the studio."""

    run: Run
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    data: RunData | None = None

    @property
    def seconds(self) -> float | None:
        """How long it has run, or ran."""
        start: datetime | None = self.run.started_at
        return None if start is None else ((self.run.finished_at or now()) - start).total_seconds()

    @property
    def primary(self) -> tuple[str, float] | None:
        """The metric that ranks it, with its value, when it has one."""
        name = self.run.primary_metric or PRIMARY.get(self.run.task, "")
        if name not in self.metrics:
            name = next((m for m in METRICS if m in self.metrics), "")
        return (name, self.metrics[name]) if name else None

    def value(self, column: str) -> Any:
        """The value of a chosen column: "metrics.accuracy", "params.max_depth", "tags.team" or "run.by"."""
        kind, _, key = column.partition(".")
        if kind == "run":
            by = self.run.created_by
            known = {"id": self.run.hex, "reason": self.run.reason or None}
            return known.get(key, by.username if by else None)
        if kind == "metrics":
            return self.metrics.get(key)
        if kind == "params":
            return self.parameters.get(key, self.data.params.get(key) if self.data else None)
        return self.tags.get(key)


@dataclass(frozen=True)
class RunPage:
    """One page of runs; next: the cursor of the following page or None."""

    rows: list[RunRow]
    next: str | None


def find_runs(
    project: Project,
    *,
    experiment: Experiment | None = None,
    filter: str = "",
    order_by: str = "",
    q: str = "",
    state: str = "",
    limit: int = 50,
    cursor: str | None = None,
    trashed: bool = False,
) -> RunPage:
    """Runs that match, in order. filter and order_by: MLflow's grammar (order_by also takes the words of
    ORDER_WORDS and a leading "-"). Raises Invalid "tracking.filter", "list.order_by", "run.state_unknown".
    """
    wanted = by_state(project, state)
    page = get_tracking().search(
        project.pk,
        experiment_ids=[experiment.mlflow_id] if experiment else None,
        filter=_joined(filter, q, wanted.status),
        only=wanted.only,
        without=wanted.without,
        order_by=_orders(order_by),
        limit=limit,
        cursor=cursor,
        stage="deleted" if trashed else "active",
    )
    return RunPage(rows_of(project, page.run_ids, trashed=trashed), page.next)


def rows_of(project: Project, run_ids: Sequence[str], *, trashed: bool = False) -> list[RunRow]:
    """The runs with these ids, in their order; those of clients are brought up to date."""
    if not run_ids:
        return []
    keys = [uuid.UUID(r) for r in run_ids]
    found = _rows(project, keys, trashed)
    if len(found) < len(set(keys)):
        adopt_missing(project, run_ids)
        found = _rows(project, keys, trashed)
    data = get_tracking().runs(run_ids, project_id=project.pk)
    return [_row(found[k], data.get(k.hex)) for k in keys if k in found]


def _rows(project: Project, keys: Collection[uuid.UUID], trashed: bool) -> dict[uuid.UUID, Run]:
    runs = Run.objects.with_relations().filter(project=project, pk__in=keys)
    return {run.pk: run for run in (runs.trashed() if trashed else runs)}


def row_of(run: Run) -> RunRow:
    """One run with what was logged to it."""
    return _row(run, get_tracking().runs([run.hex], project_id=run.project_id).get(run.hex))


def _row(run: Run, data: RunData | None) -> RunRow:
    if data is None:
        return RunRow(run, parameters=run.parameters)
    refresh_client_run(run, data)
    own = run.source == RunSource.ATELIER
    tags = {k: v for k, v in data.tags.items() if not k.startswith(("mlflow.", "atelier."))}
    return RunRow(
        run=run,
        metrics=data.metrics,
        parameters={**data.params, **run.parameters}
        if run.code_digest
        else run.parameters
        if own
        else data.params,
        tags=tags,
        data=data,
    )


def _joined(filter: str, q: str, status: str) -> str:
    parts = [filter.strip()] if filter.strip() else []
    if q:
        if "\x00" in q:
            raise Invalid("text.invalid", "The search contains a NUL character.", {"field": "q"})
        words = re.sub(r"['\"`%_\\;]", "_", q)[:200]
        parts.append(f"attributes.run_name ILIKE '%{words}%'")
    if status:
        parts.append(f"attributes.status = '{status}'")
    return " AND ".join(parts)


def _orders(order_by: str) -> list[str]:
    orders = []
    for part in (p.strip() for p in order_by.split(",")):
        if not part:
            continue
        down = part.startswith("-")
        word, _, direction = part.lstrip("-").partition(" ")
        if "\x00" in part:
            raise Invalid("list.order_by", "The order contains a NUL character.", {"field": "order_by"})
        if direction or word not in ORDER_WORDS:
            kind, dot, key = word.partition(".")
            quoted = f"{kind}.`{key.strip('`')}`" if dot and not direction else part.lstrip("-")
            orders.append(f"{quoted} DESC" if down else quoted)
        else:
            orders.append(f"{ORDER_WORDS[word]} {'DESC' if down else 'ASC'}")
    return orders


def run_of_job(job_id: uuid.UUID) -> str | None:
    """The id (32 hex digits) of the run that a job trains, for the gateway."""
    key = Run.objects.filter(job_id=job_id).values_list("pk", flat=True).first()
    return key.hex if key else None


@dataclass(frozen=True)
class ExperimentSummary:
    """An experiment with its numbers of runs."""

    experiment: Experiment
    runs: int
    live: int
    newest: datetime | None


def counted_experiments(project: Project, *, q: str = "", trashed: bool = False) -> QuerySet[Any]:
    """The project's experiments with n_runs, n_live, newest, and active_at: their newest run's or own time."""
    mirror_experiments(project)
    found = Experiment.objects.filter(project=project, deleted_at__isnull=not trashed)
    if q:
        found = found.filter(name__icontains=q.replace("\x00", ""))
    alive = Q(runs__deleted_at__isnull=True)
    working = Q(runs__job__state__in=LIVE) | Q(runs__job__isnull=True, runs__client_state__in=LIVE)
    return found.annotate(
        n_runs=Count("runs", filter=alive, distinct=True),
        n_live=Count("runs", filter=alive & working, distinct=True),
        newest=Max("runs__created_at", filter=alive),
        active_at=Coalesce(Max("runs__created_at", filter=alive), F("created_at")),
    )


def as_summary(experiment: Any) -> ExperimentSummary:
    """A row of counted_experiments."""
    return ExperimentSummary(experiment, experiment.n_runs, experiment.n_live, experiment.newest)


def experiments_of(project: Project, *, q: str = "", trashed: bool = False) -> list[ExperimentSummary]:
    """The project's experiments, those with the newest runs first."""
    rows = counted_experiments(project, q=q, trashed=trashed).order_by("-active_at", "-pk")
    return [as_summary(row) for row in rows]


def metric_points(run: Run, key: str, points: int = 1000) -> list[MetricPoint]:
    """One metric of a run over its steps; an unknown metric has no points."""
    return get_tracking().metric_history(run.hex, key, points)


def curves_of(run: Run, keys: Collection[str], points: int = 500) -> dict[str, list[MetricPoint]]:
    """Those metrics that have more than one step, by name."""
    found = {key: get_tracking().metric_history(run.hex, key, points) for key in keys}
    return {key: history for key, history in found.items() if len({p.step for p in history}) > 1}


def split_parameters(row: RunRow) -> tuple[dict[str, Any], dict[str, Any]]:
    """(settings of the run such as target and seed, parameters of the algorithm) for display."""
    logged = dict(row.data.params) if row.data else {}
    run = row.run
    if run.source == RunSource.CLIENT:
        return {}, logged
    if run.code_digest:
        return {}, {**logged, **dict(sorted(run.parameters.items()))}
    settings: dict[str, Any] = {
        "target": run.target,
        "task": run.task or "decided from the data",
        "seed": run.seed,
    }
    settings |= {"folds": run.folds} if run.folds else {"test_size": run.test_size}
    rest = {k: v for k, v in logged.items() if k not in _SPLIT_KEYS and k not in run.parameters}
    return settings, {**_in_schema_order(run), **rest}


def _in_schema_order(run: Run) -> dict[str, Any]:
    """The run's parameters as the algorithm declares them: PostgreSQL's jsonb forgets the order."""
    algorithm = algorithms.every().get(run.algorithm)
    declared = [p.name for p in algorithm.parameters] if algorithm else []
    place = {name: n for n, name in enumerate(declared)}
    names = sorted(run.parameters, key=lambda name: (place.get(name, len(place)), name))
    return {name: run.parameters[name] for name in names}


def summary_of(experiment: Experiment) -> ExperimentSummary:
    """One experiment with its numbers."""
    runs = Run.objects.alive().filter(experiment=experiment)
    newest = runs.aggregate(newest=Max("created_at"))["newest"]
    return ExperimentSummary(experiment, runs.count(), runs.live().count(), newest)
