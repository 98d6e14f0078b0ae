"""Writes that people ask for. Each is atomic and leaves an audit row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.datasets.access import get_usable_version, get_visible_dataset
from apps.datasets.models import DatasetVersion
from apps.deployments.access import get_deployment
from apps.jobs.actions import submit
from apps.lineage import actions as lineage
from apps.lineage.states import EdgeKind, NodeKind
from apps.monitoring.models import Alert, Monitor, Report
from apps.monitoring.states import ALERT, STANDING, AlertState
from apps.monitoring.subject import origin_of, subject_of
from apps.monitoring.thresholds import read_thresholds
from apps.monitoring.windows import align, get_zone, parse_size
from foundation.clock import iso, now
from foundation.errors import Conflict, Invalid
from foundation.names import check_name, check_text

REPORT_TIMEOUT = 3600


def _audit(actor: Actor, monitor: Monitor, verb: str, **detail: Any) -> None:
    record_audit(
        actor=actor,
        project=monitor.project,
        action=f"monitor.{verb}",
        subject_kind="monitor",
        subject_id=monitor.pk,
        subject_title=monitor.name,
        detail=detail,
    )


def _draw(monitor: Monitor, state: str = "pending") -> None:
    """Put the monitor into the lineage graph: the baseline and the deployment lead to it."""
    lineage.put_node(
        project=monitor.project,
        kind=NodeKind.MONITOR,
        key=monitor.pk,
        title=monitor.name,
        url=f"/p/{monitor.project.slug}/monitors/{monitor.name}",
        state=state,
        name=monitor.name,
    )
    target = (NodeKind.MONITOR.value, monitor.pk)
    lineage.unlink(target=target, kind=EdgeKind.BASELINE_OF)
    lineage.link(
        source=(NodeKind.DATASET_VERSION, monitor.baseline_id), target=target, kind=EdgeKind.BASELINE_OF
    )
    if monitor.deployment_id:
        lineage.link(
            source=(NodeKind.DEPLOYMENT, monitor.deployment_id), target=target, kind=EdgeKind.WATCHES
        )


def create_monitor(
    *,
    actor: Actor,
    project: Project,
    name: str,
    deployment: str = "",
    dataset: str = "",
    baseline: str = "",
    window: str = "1d",
    thresholds: object = None,
    features: list[str] | None = None,
    time_column: str = "",
    prediction_column: str = "",
    label_column: str = "",
    description: str = "",
) -> Monitor:
    """A monitor of a deployment or of a dataset, one of which is named.

    Without a `baseline` ("name" or "name@2") a deployment is compared with the version its model was trained on.
    Raises Invalid "monitor.subject", "monitor.baseline", "monitor.columns", "monitor.window", "monitor.thresholds",
    NotFound for unknown objects, Conflict "monitor.duplicate".
    """
    check_name(name)
    parse_size(window)
    if bool(deployment) == bool(dataset):
        raise Invalid("monitor.subject", "Name either a deployment or a dataset to watch.")
    monitor = Monitor(
        project=project,
        created_by=actor.user,
        name=name,
        description=check_text(description, field="description"),
        window=window,
        time_column=time_column,
        prediction_column=prediction_column,
        label_column=label_column,
    )
    if deployment:
        monitor.deployment = get_deployment(project, deployment)
        if time_column or prediction_column or label_column:
            raise Invalid(
                "monitor.columns", "The columns of a deployment's inferences are known; leave them out."
            )
    else:
        monitor.dataset = get_visible_dataset(actor, project, dataset)
    monitor.baseline = _baseline(actor, monitor, baseline)
    _check_columns(monitor, features or [])
    monitor.thresholds = read_thresholds(thresholds, features=_feature_names(monitor))
    try:
        with transaction.atomic():
            monitor.save(force_insert=True)
            _draw(monitor)
            _audit(actor, monitor, "create", watches=monitor.subject_name, baseline=monitor.baseline.label)
    except IntegrityError as error:
        if "monitor_name_in_project" in str(error):
            raise _duplicate(name) from error
        raise
    return monitor


def _duplicate(name: str) -> Conflict:
    return Conflict(
        "monitor.duplicate", f"There is already a monitor '{name}' in this project.", {"name": name}
    )


def _baseline(actor: Actor, monitor: Monitor, reference: str) -> DatasetVersion:
    if reference:
        return get_usable_version(actor, monitor.project, reference)
    if monitor.deployment is None:
        raise Invalid("monitor.baseline", "Name the version to compare with, for instance churn@2.")
    found = origin_of(monitor.deployment).baseline
    if found is None or not found.is_ready or found.deleted_at is not None:
        raise Invalid(
            "monitor.baseline",
            "The data that the deployed model was trained on is not known here. Name a baseline, such as churn@2.",
        )
    return found


def _feature_names(monitor: Monitor) -> list[str] | None:
    """The names that thresholds may use; None while the deployment's first revision is being built."""
    try:
        return subject_of(monitor).features
    except Conflict:
        return None


def _check_columns(monitor: Monitor, features: list[str]) -> None:
    """The columns that are named must exist in the baseline. Raises Invalid "monitor.columns"."""
    known = {str(column["name"]) for column in monitor.baseline.schema}
    wanted = [*features, monitor.time_column, monitor.prediction_column, monitor.label_column]
    unknown = [name for name in wanted if name and name not in known]
    names = _feature_names(monitor) if monitor.deployment_id else None
    unknown += [name for name in names or [] if name not in known]
    if unknown:
        listed = ", ".join(unknown[:5])
        raise Invalid(
            "monitor.columns",
            f"The baseline {monitor.baseline.label} has no column {listed}.",
            {"columns": unknown},
        )
    monitor.features = list(dict.fromkeys(features))


@transaction.atomic
def update_monitor(*, actor: Actor, monitor: Monitor, changes: dict[str, Any]) -> Monitor:
    """Change name, description, window, baseline or thresholds; what is not in `changes` stays.

    Reports that were made before keep their numbers; pages show those that fit the monitor as it is now.
    Raises Invalid, NotFound, Conflict "monitor.duplicate".
    """
    if "name" in changes:
        monitor.name = check_name(changes["name"])
    if "description" in changes:
        monitor.description = check_text(changes["description"], field="description")
    if "window" in changes:
        parse_size(changes["window"])
        monitor.window = changes["window"]
    if "baseline" in changes:
        monitor.baseline = get_usable_version(actor, monitor.project, changes["baseline"])
        _check_columns(monitor, monitor.features)
    if "thresholds" in changes:
        monitor.thresholds = read_thresholds(changes["thresholds"], features=_feature_names(monitor))
    try:
        with transaction.atomic():
            monitor.save()
    except IntegrityError as error:
        if "monitor_name_in_project" in str(error):
            raise _duplicate(monitor.name) from error
        raise
    _draw(monitor, state_of(monitor))
    _audit(actor, monitor, "update", fields=sorted(changes))
    return monitor


@transaction.atomic
def trash_monitor(*, actor: Actor, monitor: Monitor) -> None:
    """Move it to the trash; its reports and alerts stay until it is purged."""
    if Monitor.objects.filter(pk=monitor.pk, deleted_at__isnull=True).update(deleted_at=now()):
        lineage.set_alive(kind=NodeKind.MONITOR, key=monitor.pk, alive=False)
        _audit(actor, monitor, "trash")


@transaction.atomic
def restore_monitor(*, actor: Actor, monitor: Monitor) -> Monitor:
    """Take it out of the trash. Raises Conflict "monitor.duplicate" when its name is in use again."""
    try:
        with transaction.atomic():
            restored = Monitor.objects.filter(pk=monitor.pk, deleted_at__isnull=False).update(deleted_at=None)
    except IntegrityError as error:
        raise _duplicate(monitor.name) from error
    if restored:
        lineage.set_alive(kind=NodeKind.MONITOR, key=monitor.pk, alive=True)
        _audit(actor, monitor, "restore")
    monitor.refresh_from_db()
    return monitor


@transaction.atomic
def request_report(*, actor: Actor, monitor: Monitor, start: datetime, end: datetime) -> Report:
    """Compute all aligned windows that cover [start, end) in a job; returns the queued report.

    Raises Invalid for an empty or too long period, Conflict "monitor.not_built" while nothing is deployed.
    """
    subject = subject_of(monitor)
    zone = get_zone(monitor.project.timezone)
    windows = align(start, end, size=monitor.window, zone=zone)
    report = Report.objects.create(
        monitor=monitor,
        created_by=actor.user,
        start=windows[0].start,
        end=windows[-1].end,
        model_label=subject.model_label,
        settings={
            "window": monitor.window,
            "timezone": monitor.project.timezone,
            "baseline": str(monitor.baseline_id),
            "baseline_label": monitor.baseline.label,
            "thresholds": monitor.thresholds,
        },
    )
    job = submit(
        kind="monitoring.report",
        project=monitor.project,
        created_by=actor.user,
        spec={"report": str(report.pk)},
        title=f"Report of {monitor.name} ({len(windows)} window{'s' if len(windows) > 1 else ''})",
        subject=("monitor", str(monitor.pk)),
        timeout=REPORT_TIMEOUT,
    )
    Report.objects.filter(pk=report.pk).update(job_id=job.pk)
    report.job_id = job.pk
    _audit(actor, monitor, "report", start=iso(report.start), end=iso(report.end))
    return report


@transaction.atomic
def move_alert(*, actor: Actor, alert: Alert, to: AlertState, comment: str = "") -> Alert:
    """Acknowledge or close an alert; repeating it changes nothing.

    Raises Conflict "alert.closed" for acknowledging what is closed already, Invalid for a bad target or comment.
    """
    if to not in (AlertState.ACKNOWLEDGED, AlertState.CLOSED):
        raise Invalid("alert.state", "An alert can be acknowledged or closed.")
    text = check_text(comment, field="comment")
    changed = ALERT.move(
        Alert.objects.filter(pk=alert.pk),
        to=to,
        changed_by=actor.user,
        changed_at=now(),
        by_report=False,
        comment=text or alert.comment,
        updated_at=now(),
    )
    alert.refresh_from_db()
    if not changed:
        if alert.state != to:
            raise Conflict("alert.closed", "This alert is closed already.", {"state": alert.state})
        return alert
    _audit(actor, alert.monitor, f"alert_{to}", feature=alert.feature, window=iso(alert.start))
    lineage.set_state(kind=NodeKind.MONITOR, key=alert.monitor_id, state=state_of(alert.monitor))
    return alert


def state_of(monitor: Monitor) -> str:
    """drifting while an alert is open or acknowledged, stable after a report without one, else pending."""
    if monitor.alerts.filter(state__in=STANDING).exists():
        return "drifting"
    return "stable" if monitor.reports.filter(state="succeeded").exists() else "pending"
