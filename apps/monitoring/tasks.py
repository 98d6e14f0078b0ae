"""The job kind of monitoring: compute a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apps.jobs.handlers import handles
from apps.jobs.models import Job
from apps.monitoring.models import Report
from apps.monitoring.recording import fail_report, microseconds, record_report, stored_profile
from apps.monitoring.sandbox.sketch import VERSION
from apps.monitoring.states import REPORT, ReportState
from apps.monitoring.subject import Subject, subject_of, versions_to_watch
from apps.monitoring.windows import align, get_zone
from foundation.errors import Conflict, Invalid
from foundation.tasks import SandboxPlan

GIB = 1024**3
GATHERED = "gathered"


@handles("monitoring.report", where="sandbox")
class ComputeReport:
    """Recorded rows and a baseline become windows with drift, impact, performance and quality."""

    def prepare(self, job: Job) -> SandboxPlan:
        """Gather the recorded rows of the period; baseline and model only where no profile is stored."""
        report = self._report(job)
        monitor = report.monitor
        if monitor.deleted_at is not None:
            raise Conflict("monitor.trashed", f"The monitor {monitor.name} is in the trash.")
        subject = subject_of(monitor)
        self._note(report, subject)
        profile = stored_profile(report)
        payload: dict[str, Any] = {
            "features": subject.features,
            "task": subject.task,
            "classes": subject.classes,
            "columns": subject.columns,
            "bounds": bounds_of(report),
            "rules": monitor.thresholds,
            "profile": profile.data if profile else None,
        }
        inputs: dict[str, str] = {}
        if profile is None:
            inputs |= {f"baseline-{name}": path for name, path in monitor.baseline.local_parts().items()}
            payload["model"] = self._model(subject, inputs)
        payload["parts"] = self._parts(job, report, inputs)
        return SandboxPlan(
            program="apps.monitoring.sandbox.report:main",
            payload=payload,
            inputs=inputs,
            memory_bytes=8 * GIB,
        )

    def started(self, job: Job) -> None:
        """The report is being computed."""
        REPORT.move(
            Report.objects.filter(pk=job.spec["report"]), to=ReportState.RUNNING, frm=ReportState.QUEUED
        )

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """Windows, alerts, and the profile for the next report."""
        report = self._report(job)
        record_report(report=report, result=result, bounds=bounds_of(report))

    def ended(self, job: Job) -> None:
        """Keep the sentence."""
        fail_report(report=Report(pk=job.spec["report"]), reason=job.reason or f"The job {job.state}.")

    def _report(self, job: Job) -> Report:
        reports = Report.objects.select_related(
            "monitor__project",
            "monitor__deployment__current",
            "monitor__dataset",
            "monitor__baseline__dataset",
        )
        return reports.get(pk=job.spec["report"])

    def _note(self, report: Report, subject: Subject) -> None:
        """Keep what this attempt computes with: the deployment may have another model when the result arrives."""
        model = str(subject.model_version_id) if subject.model_version_id else None
        report.settings = {
            **report.settings,
            "baseline": str(report.monitor.baseline_id),
            "baseline_label": report.monitor.baseline.label,
            "thresholds": report.monitor.thresholds,
            "made_with": {"model_version_id": model, "key": subject.key(VERSION)},
        }
        report.model_label = subject.model_label
        Report.objects.filter(pk=report.pk).update(settings=report.settings, model_label=report.model_label)

    def _model(self, subject: Subject, inputs: dict[str, str]) -> dict[str, str]:
        """The Bento's model as inputs, each file by itself: the object store may be remote."""
        from adapters.storage import get_store

        if not subject.bento_prefix:
            return {}
        store = get_store()
        prefix = subject.bento_prefix.rstrip("/") + "/"
        files: dict[str, str] = {}
        for index, key in enumerate(store.list(f"{prefix}src/")):
            files[f"model-{index}"] = key.removeprefix(prefix)
            inputs[f"model-{index}"] = str(store.local(key))
        if not files:
            raise Invalid(
                "monitor.no_model", f"The files of {subject.model_label} are gone; deploy the model anew."
            )
        return files

    def _parts(self, job: Job, report: Report, inputs: dict[str, str]) -> list[dict[str, Any]]:
        """The recorded rows as inputs; labels told later go beside them."""
        monitor = report.monitor
        if monitor.deployment is not None:
            return self._recorded(job, report, inputs)
        assert monitor.dataset is not None
        parts: list[dict[str, Any]] = []
        for version in versions_to_watch(monitor.dataset, monitor.baseline, timed=bool(monitor.time_column)):
            for name, path in version.local_parts().items():
                key = f"rows-{version.number}-{name}"
                inputs[key] = path
                told = None if monitor.time_column else microseconds(version.created_at)
                parts.append({"input": key, "moment": told})
        return parts

    def _recorded(self, job: Job, report: Report, inputs: dict[str, str]) -> list[dict[str, Any]]:
        from apps.deployments.queries import inference_window
        from runtime import config

        assert report.monitor.deployment is not None
        # Below the attempt's own folder, which the supervisor removes when the attempt is over.
        folder = config.load().attempts_dir / str(job.pk) / str(job.fence) / GATHERED
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = inference_window(report.monitor.deployment, report.start, report.end, folder=folder)
        if found.labels is not None:
            inputs["labels"] = str(found.labels)
        names = [f"rows-{index:06d}" for index in range(len(found.paths))]
        inputs |= {name: str(path) for name, path in zip(names, found.paths, strict=True)}
        return [{"input": name, "moment": None} for name in names]


def bounds_of(report: Report) -> list[int]:
    """The limits of the report's windows in microseconds since 1970, one more than there are windows."""
    zone = get_zone(report.settings["timezone"])
    windows = align(report.start, report.end, size=report.settings["window"], zone=zone)
    return [*(microseconds(window.start) for window in windows), microseconds(windows[-1].end)]
