"""The verbs of the loop, each of which first looks whether the thing is there already."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from atelier.tour.client import Client, TourError, segment

OVER = {"succeeded", "failed", "errored", "cancelled", "timed_out"}
Say = Callable[[str, str], None]


class Loop:
    """Datasets, runs, models, deployments and monitors of one project. `say(text, url)` tells of each step."""

    def __init__(self, client: Client, say: Say) -> None:
        self.client = client
        self.say = say

    def dataset(self, name: str, files: list[Path]) -> list[dict[str, Any]]:
        """A dataset with one version a file, in that order; returns the ready versions, oldest first."""
        client = self.client
        path = f"datasets/{segment(name)}"
        if client.find(path) is None:
            client.upload("datasets", files[0], name=name)
        for _ in files[len(self._versions(path)) :]:
            client.upload(f"{path}/versions", files[len(self._versions(path))])
        ready = [self._ready(name, path, number) for number in range(1, len(files) + 1)]
        rows = " and ".join(f"{version['rows']:,}" for version in ready)
        self.say(
            f"Dataset {name}: {_counted(len(ready), 'version')} of {rows} rows",
            client.page(f"datasets/{name}"),
        )
        return ready

    def _versions(self, path: str) -> list[Any]:
        return self.client.listed(f"{path}/versions")

    def _ready(self, name: str, path: str, number: int) -> dict[str, Any]:
        found = self.client.wait(
            f"{name}@{number}",
            lambda: self.client.get(f"{path}/versions/{number}"),
            lambda version: version["state"] != "pending",
        )
        if found["state"] != "ready":
            said = found.get("error") or {}
            raise TourError(f"{name}@{number} could not be read: {said.get('message', said)}")
        return dict(found)

    def await_version(self, name: str, number: int) -> None:
        """Wait until a dataset version that another story makes is ready."""
        path = f"datasets/{segment(name)}/versions/{number}"
        self.client.wait(
            f"{name}@{number}",
            lambda: self.client.find(path) or {"state": "pending"},
            lambda version: version["state"] == "ready",
        )

    def start_run(self, name: str, **spec: Any) -> str:
        """The id of the run of that name in its experiment; a new one when there is none that went well."""
        known = self.runs(spec["experiment"])
        usable = {"queued", "starting", "running", "succeeded"}
        for run in known:
            if run["name"] == name and run["state"] in usable:
                return str(run["id"])
        return str(self.client.post("runs", {"name": name, **spec})["id"])

    def runs(self, experiment: str) -> list[Any]:
        """The runs of an experiment, newest first; none when there is no such experiment."""
        names = {found["name"] for found in self.client.listed("experiments")}
        return self.client.listed(f"runs?experiment={segment(experiment)}") if experiment in names else []

    def finished_run(self, run_id: str, *, metric: str) -> dict[str, Any]:
        """Wait for a run and tell its result."""
        run = self.client.wait(
            f"Run {run_id[:8]}",
            lambda: self.client.get(f"runs/{run_id}"),
            lambda found: found["state"] in OVER,
        )
        if run["state"] != "succeeded":
            raise TourError(f"The run {run['name']} {run['state']}: {run.get('reason') or 'see its log'}")
        value = run["metrics"].get(metric)
        shown = "" if value is None else f", {metric} {value:.3f}"
        self.say(
            f"Run {run['name']} ({run['algorithm']}{shown})", self.client.page(f"experiments/runs/{run_id}/")
        )
        return dict(run)

    def model_version(self, model: str, run_id: str) -> int:
        """The number of the version that was made from a run."""
        client = self.client
        path = f"models/{segment(model)}"
        if client.find(path) is None:
            client.post("models", {"name": model})
        for version in client.listed(f"{path}/versions"):
            if _run_of(version) == run_id:
                return int(version["version"])
        made = client.post(f"{path}/versions", {"run": run_id})
        return int(made["version"])

    def promote(self, model: str, version: int, to: str = "production") -> None:
        """Move the alias to the version: checks, then (for production) an approval."""
        client = self.client
        path = f"models/{segment(model)}"
        url = client.page(f"models/{model}")
        if self._alias(path, to) == version:
            self.say(f"{model}/{version} is in {to}", url)
            return
        promotion = client.post(
            f"{path}/versions/{version}/promotions", {"to": to, "comment": "Asked for by the tour."}
        )
        key = promotion["id"]
        look = lambda: client.get(f"promotions/{key}")  # noqa: E731
        found = client.wait("The promotion", look, lambda p: p["state"] != "checking")
        if found["state"] == "awaiting_approval":
            client.post(f"promotions/{key}/approve", {"comment": "All checks passed."})
            found = client.wait(
                "The promotion", look, lambda p: p["state"] not in ("checking", "awaiting_approval")
            )
        if found["state"] != "applied":
            said = "; ".join(check["message"] for check in found["checks"] if check["state"] != "passed")
            raise TourError(
                f"{model}/{version} was not promoted ({found['state']}): {said or 'no reason given'}"
            )
        self.say(
            f"{model}/{version} promoted to {to} after {len(found['checks'])} checks and an approval", url
        )

    def _alias(self, path: str, alias: str) -> int | None:
        aliases = self.client.get(path).get("aliases") or {}
        if isinstance(aliases, list):
            aliases = {entry["alias"]: entry["version"] for entry in aliases}
        found = aliases.get(alias)
        return int(found) if found is not None else None

    def start_deployment(self, name: str, model: str) -> None:
        """Ask for the deployment, without waiting."""
        path = f"deployments/{segment(name)}"
        found = self.client.find(path)
        if found is None:
            self.client.post("deployments", {"name": name, "model": model})
        elif found["state"] in ("stopped", "failed"):
            self.client.post(f"{path}/start")

    def ready_deployment(self, name: str) -> dict[str, Any]:
        """Wait until it answers."""
        found = self.client.wait(
            f"The deployment {name}",
            lambda: self.client.get(f"deployments/{segment(name)}"),
            lambda deployment: deployment["state"] in ("ready", "degraded", "failed"),
        )
        if found["state"] == "failed":
            raise TourError(f"The deployment {name} failed: {found['reason']}")
        self.say(f"Deployment {name} answers with {found['serves']}", self.client.page(f"deployments/{name}"))
        return dict(found)

    def predict(
        self, name: str, records: list[dict[str, Any]], truth: list[Any], *, batch: int = 20
    ) -> tuple[datetime, datetime]:
        """Ask for predictions of all records and tell the true values; what was asked before is not repeated.

        Returns the period in which all that was asked lies.
        """
        client = self.client
        inferences = f"deployments/{segment(name)}/inferences?limit=500"
        known = client.listed(inferences)[::-1]
        # A tour that was interrupted may have asked for predictions whose truth it had no time to tell.
        untold = [
            {"inference_id": found["id"], "value": value}
            for found, record, value in zip(known, records, truth, strict=False)
            if found["label"] is None and found["features"] == record
        ]
        if untold:
            client.post(f"deployments/{segment(name)}/labels", {"labels": untold})
        missing = max(0, len(records) - len(known))
        todo = list(zip(records, truth, strict=True))[len(records) - missing :]
        for place in range(0, len(todo), batch):
            some = todo[place : place + batch]
            answer = client.post(
                f"/serve/{client.project}/{name}/predict", {"records": [record for record, _ in some]}
            )
            labels = [
                {"inference_id": key, "value": value}
                for key, (_, value) in zip(answer["inference_ids"], some, strict=True)
            ]
            client.post(f"deployments/{segment(name)}/labels", {"labels": labels})
        text = f"{len(records)} predictions with their true values"
        self.say(text, client.page(f"deployments/{name}/inferences"))
        moments = [datetime.fromisoformat(found["time"]) for found in client.listed(inferences)]
        return min(moments), max(moments) + timedelta(seconds=1)

    def events(self, name: str, file: Path) -> None:
        """Import past inferences from a file, unless an import went well before."""
        client = self.client
        path = f"deployments/{segment(name)}/events"
        known = self._import(name, file.name)
        record = known or client.upload(path, file)
        found = client.wait(
            "The import of events",
            lambda: client.get(f"{path}/{record['id']}"),
            lambda import_: import_["state"] != "importing",
        )
        if found["state"] != "ready":
            raise TourError(f"The events were not imported: {found['reason']}")
        self.say(f"{found['rows']:,} past events imported", client.page(f"deployments/{name}/inferences"))

    def has_events(self, name: str, filename: str) -> bool:
        """Whether the file of past events was imported before."""
        return self._import(name, filename) is not None

    def _import(self, name: str, filename: str) -> dict[str, Any] | None:
        """The import of that file, unless it failed; what somebody else imported does not count."""
        for found in self.client.listed(f"deployments/{segment(name)}/events"):
            if found["filename"] == filename and found["state"] != "failed":
                return dict(found)
        return None

    def report(
        self, monitor: str, *, deployment: str, baseline: str, window: str, start: datetime, end: datetime
    ) -> dict[str, Any]:
        """A monitor and its finished report over [start, end) with all windows."""
        client = self.client
        path = f"monitors/{segment(monitor)}"
        if client.find(path) is None:
            body = {"name": monitor, "deployment": deployment, "baseline": baseline, "window": window}
            client.post("monitors", body)
        known = [found for found in client.listed(f"{path}/reports") if _covers(found, start, end)]
        report = known[0] if known else None
        if report is None:
            body = {"start": start.isoformat(), "end": end.isoformat()}
            report = client.post(f"{path}/reports", body)
        found = client.wait(
            f"The report of {monitor}",
            lambda: client.get(f"{path}/reports/{report['id']}"),
            lambda made: made["state"] in ("succeeded", "failed"),
        )
        if found["state"] == "failed":
            raise TourError(f"The report of {monitor} failed: {found['reason']}")
        self.say(
            f"Monitor {monitor}: {found['rows']:,} rows in {_counted(len(found['windows']), 'window')}",
            client.page(f"monitors/{monitor}"),
        )
        return dict(found)

    def alerts(self, monitor: str) -> list[Any]:
        """All alerts of a monitor."""
        return self.client.listed(f"monitors/{segment(monitor)}/alerts")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _run_of(version: dict[str, Any]) -> str:
    run = version.get("run") or version.get("run_id") or ""
    return str(run.get("id", "") if isinstance(run, dict) else run)


def _covers(report: dict[str, Any], start: datetime, end: datetime) -> bool:
    """Whether a report that went well (or still may) covers the period."""
    if report["state"] == "failed" or (not report.get("rows") and report["state"] == "succeeded"):
        return False
    return datetime.fromisoformat(report["start"]) <= start and datetime.fromisoformat(report["end"]) >= end
