"""Tracking in memory: the twin of `sql.SqlTracking` for tests that need no MLflow tables.

Same verbs, same errors, one contract suite (tests/tracking/test_contract.py). It does not roll back with a
database transaction. `log` and `log_model` stand in for what a run logs through MLflow.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from adapters.tracking.cursors import decode_cursor, encode_cursor
from adapters.tracking.fake_registry import FakeRegistry
from adapters.tracking.grammar import Clause, Order, parse_filter, parse_order_by
from adapters.tracking.limits import PARAM_LIMIT, RUN_ID, TAG_LIMIT, check_key, check_value
from adapters.tracking.protocol import (
    ARCHIVED_TAG,
    ARTIFACT_SCHEME,
    DEFAULT_EXPERIMENT,
    DIGEST_TAG,
    Artifact,
    DatasetInput,
    Experiment,
    LoggedModel,
    MetricPoint,
    RunData,
    RunPage,
    RunStatus,
    Stage,
    location_key,
    workspace_name,
)
from adapters.tracking.thinning import thin
from foundation.clock import now
from foundation.errors import Conflict, Invalid, NotFound


@dataclass
class _Run:
    id: str
    project_id: UUID
    experiment_id: str
    name: str
    user: str
    location: str
    start: datetime
    status: RunStatus = "SCHEDULED"
    end: datetime | None = None
    deleted: bool = False
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[MetricPoint]] = field(default_factory=dict)
    inputs: tuple[DatasetInput, ...] = ()
    models: list[LoggedModel] = field(default_factory=list)
    submitted: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())

    def latest(self) -> dict[str, float]:
        return {
            key: max(points, key=lambda p: (p.step, p.timestamp)).value
            for key, points in self.history.items()
        }


class FakeTracking(FakeRegistry):
    """Experiments, runs and models in dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self._experiments: dict[str, tuple[UUID, Experiment]] = {}
        self._runs: dict[str, _Run] = {}
        self._numbers = itertools.count(1)

    def check_revision(self) -> None:
        """Always the right one."""

    # projects and experiments

    def ensure_project(self, project_id: UUID) -> str:
        """As the real one."""
        return self.ensure_experiment(project_id, DEFAULT_EXPERIMENT)

    def ensure_experiment(self, project_id: UUID, name: str) -> str:
        """As the real one."""
        if not name.strip():
            raise Invalid("tracking.bad_name", "The experiment's name is missing.")
        check_value(name, "experiment", "name", 256)
        for owner, known in self._experiments.values():
            if owner == project_id and known.name == name:
                if known.deleted:
                    raise Conflict("tracking.experiment_deleted", f"The experiment {name!r} is in the trash.")
                return known.id
        number = str(next(self._numbers))
        location = f"{ARTIFACT_SCHEME}workspaces/{workspace_name(project_id)}/{number}"
        self._experiments[number] = (project_id, Experiment(number, name, False, location, now()))
        return number

    def list_experiments(self, project_id: UUID, *, stage: Stage = "active") -> list[Experiment]:
        """As the real one."""
        mine = [known for owner, known in self._experiments.values() if owner == project_id]
        wanted = [known for known in mine if stage == "all" or known.deleted == (stage == "deleted")]
        return sorted(wanted, key=lambda known: int(known.id), reverse=True)

    def rename_experiment(self, project_id: UUID, experiment_id: str, name: str) -> None:
        """As the real one."""
        known = self._experiment(project_id, experiment_id)
        if any(
            o == project_id and e.name == name and e.id != experiment_id
            for o, e in self._experiments.values()
        ):
            raise Conflict("tracking.experiment_exists", f"There is already an experiment {name!r}.")
        self._experiments[experiment_id] = (project_id, replace(known, name=name))

    def delete_experiment(self, project_id: UUID, experiment_id: str) -> None:
        """As the real one."""
        self._stage(project_id, experiment_id, True)

    def restore_experiment(self, project_id: UUID, experiment_id: str) -> None:
        """As the real one."""
        self._stage(project_id, experiment_id, False)

    def _stage(self, project_id: UUID, experiment_id: str, deleted: bool) -> None:
        known = self._experiment(project_id, experiment_id)
        self._experiments[experiment_id] = (project_id, replace(known, deleted=deleted))
        for run in self._runs.values():
            if run.experiment_id == experiment_id and ARCHIVED_TAG not in run.tags:
                run.deleted = deleted

    def _experiment(self, project_id: UUID, experiment_id: str) -> Experiment:
        owner, known = self._experiments.get(experiment_id, (None, None))
        if known is None or owner != project_id:
            raise NotFound(
                "tracking.no_experiment", f"There is no experiment {experiment_id!r} in this project."
            )
        return known

    # runs

    def create_run(
        self,
        *,
        project_id: UUID,
        run_id: str,
        experiment_id: str,
        name: str,
        user: str,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        dataset: DatasetInput | Sequence[DatasetInput] | None = None,
    ) -> None:
        """As the real one."""
        if not RUN_ID.fullmatch(run_id):
            raise Invalid("tracking.bad_run_id", "A run id is 32 hexadecimal digits.")
        given = {
            check_key(k, "parameter"): check_value(v, "parameter", k, PARAM_LIMIT)
            for k, v in (parameters or {}).items()
        }
        inputs = (dataset,) if isinstance(dataset, DatasetInput) else tuple(dataset or ())
        labels = {"mlflow.user": user, "mlflow.source.name": "atelier", "mlflow.source.type": "JOB"}
        if inputs:
            labels[DIGEST_TAG] = inputs[0].digest
        labels |= {check_key(k, "tag"): check_value(v, "tag", k, TAG_LIMIT) for k, v in (tags or {}).items()}
        labels["mlflow.runName"] = check_value(name, "run", "name", 250)
        if run_id in self._runs:
            raise Conflict("tracking.run_exists", f"There is already a run {run_id}.")
        experiment = self._experiment(project_id, experiment_id)
        if experiment.deleted:
            raise NotFound("tracking.no_experiment", f"There is no active experiment {experiment_id!r}.")
        self._runs[run_id] = _Run(
            id=run_id,
            project_id=project_id,
            experiment_id=experiment_id,
            name=name,
            user=user,
            location=f"{experiment.artifact_location}/{run_id}/artifacts",
            start=now(),
            params=given,
            tags=labels,
            inputs=tuple(replace(entry, digest=entry.digest[:36]) for entry in inputs),
            submitted=(frozenset(given), frozenset(labels)),
        )

    def log(self, run_id: str, key: str, values: Mapping[int, float]) -> None:
        """Log a metric: step -> value."""
        points = self._run(run_id).history.setdefault(key, [])
        points += [MetricPoint(step, step, value) for step, value in values.items()]

    def log_model(self, run_id: str, name: str = "model") -> LoggedModel:
        """Log a model without files."""
        run = self._run(run_id)
        model_id = f"m-{uuid4().hex}"
        location = f"{run.location.split('/' + run_id)[0]}/models/{model_id}/artifacts"
        model = LoggedModel(model_id, name, location, location_key(location))
        run.models.append(model)
        return model

    def start_run(self, run_id: str) -> None:
        """As the real one."""
        run = self._run(run_id)
        run.status, run.start, run.end = "RUNNING", now(), None

    def finish_run(self, run_id: str, status: RunStatus) -> None:
        """As the real one."""
        run = self._run(run_id)
        run.status = status
        run.end = now() if status in ("FINISHED", "FAILED", "KILLED") else None

    def rename_run(self, run_id: str, name: str) -> None:
        """As the real one."""
        run = self._run(run_id)
        run.name = run.tags["mlflow.runName"] = check_value(name, "run", "name", 250)

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None:
        """As the real one."""
        run = self._run(run_id)
        for key, value in tags.items():
            if value is None:
                run.tags.pop(key, None)
            else:
                run.tags[check_key(key, "tag")] = check_value(value, "tag", key, TAG_LIMIT)

    def add_parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None:
        """As the real one."""
        given = {
            check_key(k, "parameter"): check_value(v, "parameter", k, PARAM_LIMIT)
            for k, v in parameters.items()
        }
        run = self._run(run_id)
        run.params = {**given, **run.params}

    def add_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """As the real one."""
        for key, value in metrics.items():
            points = self._run(run_id).history.setdefault(check_key(key, "metric"), [])
            stamp = max([int(now().timestamp() * 1000), *(point.timestamp + 1 for point in points)])
            points.append(MetricPoint(0, stamp, float(value)))

    def delete_run(self, run_id: str) -> None:
        """As the real one."""
        self._run(run_id).deleted = True

    def restore_run(self, run_id: str) -> None:
        """As the real one."""
        self._run(run_id).deleted = False

    def reset_run(self, run_id: str) -> str:
        """As the real one."""
        run = self._run(run_id)
        archive = replace(run, id=uuid4().hex, status="KILLED", end=now(), deleted=True)
        params, tags = run.submitted
        archive.params = {k: v for k, v in run.params.items() if k not in params}
        archive.tags = {k: v for k, v in run.tags.items() if k not in tags}
        archive.tags |= {ARCHIVED_TAG: run_id, "mlflow.runName": run.name}
        self._runs[archive.id] = archive
        run.params = {k: v for k, v in run.params.items() if k in params}
        run.tags = {k: v for k, v in run.tags.items() if k in tags}
        run.history, run.models, run.status, run.start, run.end = {}, [], "SCHEDULED", now(), None
        run.location = f"{run.location.rpartition('/')[0]}/artifacts-{archive.id[:8]}"
        return archive.id

    def runs(self, run_ids: Collection[str], *, project_id: UUID | None = None) -> dict[str, RunData]:
        """As the real one."""
        found = [self._runs[run_id] for run_id in run_ids if run_id in self._runs]
        return {run.id: self._data(run) for run in found if project_id in (None, run.project_id)}

    def metric_keys(self, run_id: str) -> list[str]:
        """As the real one."""
        run = self._runs.get(run_id)
        return sorted(run.history) if run else []

    def metric_history(self, run_id: str, key: str, points: int = 1000) -> list[MetricPoint]:
        """As the real one."""
        run = self._runs.get(run_id)
        history = run.history.get(key, []) if run else []
        return thin(sorted(history, key=lambda p: (p.step, p.timestamp, p.value)), points)

    def first_unfinite(self, run_id: str, key: str = "") -> tuple[str, MetricPoint] | None:
        """As the real one."""
        run = self._runs.get(run_id)
        found = [
            (point.timestamp, point.step, name, point)
            for name, history in (run.history.items() if run else ())
            for point in history
            if key in ("", name) and not math.isfinite(point.value)
        ]
        first = min(found, key=lambda one: one[:3], default=None)
        return None if first is None else (first[2], first[3])

    def search(
        self,
        project_id: UUID,
        *,
        experiment_ids: Collection[str] | None = None,
        filter: str = "",
        order_by: Sequence[str] = (),
        limit: int = 100,
        cursor: str | None = None,
        stage: Stage = "active",
        only: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> RunPage:
        """As the real one."""
        clauses, orders, offset = parse_filter(filter), parse_order_by(order_by), decode_cursor(cursor)
        runs = [
            run
            for run in self._runs.values()
            if run.project_id == project_id
            and (stage == "all" or run.deleted == (stage == "deleted"))
            and (experiment_ids is None or run.experiment_id in experiment_ids)
            and (
                experiment_ids is not None
                or stage != "active"
                or not self._experiments[run.experiment_id][1].deleted
            )
            and (only is None or run.id in only)
            and run.id not in without
            and all(_matches(run, clause) for clause in clauses)
        ]
        runs.sort(key=lambda run: run.id)
        if not any(order.key == "start_time" and order.kind == "attribute" for order in orders):
            runs.sort(key=lambda run: run.start, reverse=True)
        for order in reversed(orders):
            runs = _sorted(runs, order)
        ids = tuple(run.id for run in runs[offset : offset + limit])
        return RunPage(ids, encode_cursor(offset + limit) if len(runs) > offset + limit else None)

    def _in_experiments(self, run: _Run, wanted: Collection[str] | None, stage: Stage) -> bool:
        if wanted is not None:
            return run.experiment_id in wanted
        return stage != "active" or not self._experiments[run.experiment_id][1].deleted

    def artifact_key(self, run_id: str, path: str = "") -> str:
        """As the real one."""
        parts = [part for part in path.split("/") if part]
        if any(part in (".", "..") or "\x00" in part or "\\" in part for part in parts):
            raise NotFound("tracking.no_run", f"There is no run {run_id!r}.")
        return "/".join([location_key(self._run(run_id).location), *parts])

    def list_artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """No files are kept here."""
        self.artifact_key(run_id, path)
        return []

    def _run(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None:
            raise NotFound("tracking.no_run", f"There is no run {run_id[:40]!r}.")
        return run

    def _run_models(self, project_id: UUID, run_id: str) -> tuple[str, list[LoggedModel]]:
        run = self._run(run_id)
        if run.project_id != project_id or run.deleted:
            raise NotFound("tracking.no_run", f"There is no run {run_id[:40]!r}.")
        return run.location, run.models

    def _data(self, run: _Run) -> RunData:
        return RunData(
            id=run.id,
            experiment_id=run.experiment_id,
            experiment=self._experiments[run.experiment_id][1].name,
            name=run.name,
            user=run.user,
            status=run.status,
            start=run.start,
            end=run.end,
            deleted=run.deleted,
            artifact_uri=run.location,
            params=dict(run.params),
            metrics=run.latest(),
            tags=dict(run.tags),
            inputs=run.inputs,
            models=tuple(run.models),
        )


def _attribute(run: _Run, key: str) -> Any:
    values: dict[str, Any] = {
        "run_id": run.id,
        "run_name": run.name,
        "status": run.status,
        "user_id": run.user,
        "artifact_uri": run.location,
        "start_time": int(run.start.timestamp() * 1000),
        "end_time": int(run.end.timestamp() * 1000) if run.end else None,
    }
    return values[key]


def _lookup(run: _Run, kind: str, key: str) -> Any:
    if kind == "attribute":
        return _attribute(run, key)
    tables: dict[str, Mapping[str, Any]] = {"metric": run.latest(), "parameter": run.params, "tag": run.tags}
    return tables[kind].get(key)


def _matches(run: _Run, clause: Clause) -> bool:
    if clause.kind == "dataset":
        return any(_compare(getattr(entry, clause.key), clause) for entry in run.inputs)
    value = _lookup(run, clause.kind, clause.key)
    if clause.comparator in ("IS NULL", "IS NOT NULL"):
        return (value is None) == (clause.comparator == "IS NULL")
    return value is not None and _compare(value, clause)


def _compare(value: Any, clause: Clause) -> bool:
    given: Any = clause.value
    match clause.comparator:
        case "LIKE" | "ILIKE":
            pattern = re.escape(given).replace("%", ".*").replace("_", ".")
            flags = re.DOTALL | (re.IGNORECASE if clause.comparator == "ILIKE" else 0)
            return re.fullmatch(pattern, value, flags) is not None
        case "IN" | "NOT IN":
            return (value in given) == (clause.comparator == "IN")
        case "=":
            return bool(value == given)
        case "!=":
            return bool(value != given)
        case ">":
            return bool(value > given)
        case ">=":
            return bool(value >= given)
        case "<":
            return bool(value < given)
        case _:
            return bool(value <= given)


def _sorted(runs: list[_Run], order: Order) -> list[_Run]:
    """Stable: numbers or texts in order, then NaN, then what is missing, whatever the direction."""
    plain, nan, missing = [], [], []
    for run in runs:
        value = _lookup(run, order.kind, order.key)
        if value is None:
            missing.append(run)
        elif isinstance(value, float) and math.isnan(value):
            nan.append(run)
        else:
            plain.append(run)
    plain.sort(key=lambda run: _lookup(run, order.kind, order.key), reverse=not order.ascending)
    return plain + nan + missing
