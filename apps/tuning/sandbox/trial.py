"""The program of a trial: the training of a run, watched. It reports values on the way, ends itself when the pruner
finds it hopeless beside the others, and keeps its model and figures only when it is as good as the best so far.

Payload: that of the training, and `trial`: number, metric, maximize, pruner, steps ("folds", "iterations" or ""),
first (the step from which it is judged). The studio's address for reports is in ATELIER_REPORT_URL.
"""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.search import Seen, get_search
from adapters.tracking.client import RunLog, run_log
from apps.experiments.metric_catalogue import METRICS
from apps.experiments.sandbox.train import train
from apps.experiments.sandbox.watching import Pruned
from foundation.tasks import Context, UserError

#: (step or None, value) -> {"peers": [...], "best": number or None}, or None when the studio cannot be reached.
Send = Callable[[int | None, float], dict[str, Any] | None]
TRIES = 4
TIMEOUT = 10.0


def main(ctx: Context) -> dict[str, Any]:
    """Train, report and log to the run named in the payload."""
    return run_trial(ctx, run_log(str(ctx.payload["run_id"])), sender(ctx.log))


def run_trial(ctx: Context, log: RunLog, send: Send) -> dict[str, Any]:
    """The training with its watcher; what was reported becomes a curve of the run."""
    watcher = Watcher(settings=ctx.payload["trial"], send=send, log=ctx.log)
    result = train(ctx, log, watcher)
    if watcher.reported:
        log.series({f"validation_{watcher.metric}": sorted(watcher.reported.items())})
    return result


@dataclass
class Watcher:
    """The study's eye on one training; see experiments.sandbox.watching.Watch."""

    settings: Mapping[str, Any]
    send: Send
    log: logging.Logger
    reported: dict[int, float] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """The objective."""
        return str(self.settings["metric"])

    @property
    def steps(self) -> str:
        """What the training is to report."""
        return str(self.settings["steps"])

    def at(self, step: int, metrics: Mapping[str, float]) -> None:
        """Report the objective; the pruner compares it with the other trials. Raises Pruned."""
        value = metrics.get(self.metric)
        if value is None:
            return
        self.reported[step] = value
        answer = self.send(step, value)
        if answer is None or self.settings["pruner"] == "none":
            return
        hopeless = get_search().should_prune(
            str(self.settings["pruner"]),
            maximize=bool(self.settings["maximize"]),
            first=int(self.settings["first"]),
            intermediate=self.reported,
            peers=[_seen(peer) for peer in answer["peers"]],
        )
        if hopeless:
            word = "fold" if self.steps == "folds" else "step"
            title = METRICS[self.metric].title if self.metric in METRICS else self.metric
            raise Pruned(step, f"Pruned at {word} {step}: {title} {value:.4g} is behind the other trials.")

    def keeps(self, metrics: Mapping[str, float]) -> bool:
        """Whether no other trial was better. Raises UserError when the objective is missing."""
        value = metrics.get(self.metric)
        if value is None:
            known = ", ".join(sorted(name for name in metrics if name in METRICS))
            raise UserError(
                f"The trial ended without its objective {self.metric}: these data do not define it. "
                f"Logged were: {known}.",
                code="study.objective_missing",
                detail={"metric": self.metric, "logged": sorted(metrics)},
            )
        answer = self.send(None, value)
        best = answer["best"] if answer else None
        if best is None:
            return True
        keeps = value >= best if self.settings["maximize"] else value <= best
        if not keeps:
            self.log.info("The best trial so far has %.4f: figures and model of this one are not kept.", best)
        return bool(keeps)


def _seen(peer: Mapping[str, Any]) -> Seen:
    told = {int(step): float(value) for step, value in peer["intermediate"].items()}
    return Seen(int(peer["number"]), str(peer["state"]), {}, peer["value"], told)


def sender(log: logging.Logger) -> Send:
    """Reports over HTTP with the job's token. A studio that is away for a moment does not end the training."""
    url, token = os.environ["ATELIER_REPORT_URL"], os.environ["MLFLOW_TRACKING_TOKEN"]

    def send(step: int | None, value: float) -> dict[str, Any] | None:
        body = json.dumps({"value": value} if step is None else {"step": step, "value": value}).encode()
        request = urllib.request.Request(  # noqa: S310  (the worker's own address)
            url,
            body,
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        for attempt in range(TRIES):
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                    found: dict[str, Any] = json.load(answer)
                    return found
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code != 429:
                    log.warning("A report was refused: %s", error.read()[:300].decode(errors="replace"))
                    return None
            except OSError as error:
                log.info("A report did not arrive: %s", error)
            time.sleep(0.2 * 2**attempt)
        log.warning("The studio could not be reached; the trial goes on without comparing itself.")
        return None

    return send
