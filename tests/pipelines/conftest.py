"""A project with a dataset, pipelines over it, and jobs that end as a test wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.people import People, fake_tracking, people

__all__ = ["fake_tracking", "people"]

SIGNATURE = {"inputs": [{"name": "age", "type": "long", "required": True}], "outputs": [{"type": "string"}]}
CHECK = {"name": "check", "kind": "dataset_check", "with": {"dataset": "churn"}}
TRAIN = {
    "name": "train",
    "kind": "run",
    "with": {"dataset": "${check.dataset}", "target": "left", "algorithm": "linear"},
}
GOOD = {
    "name": "good",
    "kind": "condition",
    "with": {"left": "${train.metrics.accuracy}", "operator": ">=", "right": "${parameters.least}"},
}
KEEP = {
    "name": "keep",
    "kind": "register",
    "needs": ["good"],
    "with": {"model": "churn", "run": "${train.run}"},
}
PARAMETERS = {"least": {"type": "number", "default": 0.8}}


def definition(*nodes: dict[str, Any], name: str = "nightly", **more: Any) -> dict[str, Any]:
    """A definition of these nodes, with the parameter `least`."""
    return {"name": name, "parameters": PARAMETERS, "nodes": list(nodes), **more}


FLOW = definition(CHECK, TRAIN, GOOD, KEEP)


@dataclass
class Plant:
    """What the tests of pipelines start from."""

    people: People
    tracking: Any
    version: Any

    @property
    def project(self) -> Any:
        return self.people.project

    def api(self, path: str = "") -> str:
        return f"/api/v1/projects/{self.project.slug}/pipelines{path}"

    def pipeline(self, *nodes: dict[str, Any], by: str = "contributor", **more: Any) -> Any:
        """A pipeline of these nodes."""
        from apps.pipelines.actions import create_pipeline

        return create_pipeline(
            actor=self.people.actor(by), project=self.project, definition=definition(*nodes, **more)
        )

    def start(self, pipeline: Any, by: str = "contributor", **parameters: Any) -> Any:
        """A queued run."""
        from apps.pipelines.actions import start_pipeline_run

        return start_pipeline_run(actor=self.people.actor(by), pipeline=pipeline, parameters=parameters)

    def look(self, run: Any) -> dict[str, str]:
        """Let the coordinator look once; answers name -> state of the nodes, and refreshes the run."""
        from apps.pipelines.coordinator import advance_all

        advance_all()
        run.refresh_from_db()
        return self.states(run)

    def states(self, run: Any) -> dict[str, str]:
        return {node.name: node.state for node in run.nodes.all()}

    def node(self, run: Any, name: str) -> Any:
        return run.nodes.select_related("job").get(name=name)

    def trained(self, run: Any, name: str = "train", *, model: bool = True, **metrics: float) -> Any:
        """End the training of a node well, with these metrics."""
        from apps.experiments.models import Run

        node = self.node(run, name)
        training = Run.objects.get(pk=node.subject_id)
        for key, value in metrics.items():
            self.tracking.log(training.hex, key, {0: value})
        logged = self.tracking.log_model(training.hex) if model else None
        self.end(
            node.job,
            result={
                "task": "classification",
                "parameters": {},
                "primary_metric": "accuracy",
                "model": {"id": logged.id, "signature": SIGNATURE, "example": [{"age": 3}]}
                if logged
                else None,
                "features": {},
                "rows": {},
                "figures": [],
                "environment": {},
            },
        )
        return training

    def end(
        self, job: Any, outcome: str = "succeeded", reason: str = "", result: dict[str, Any] | None = None
    ) -> None:
        """A worker takes the job and ends it like this."""
        from apps.jobs import attempts

        claimed = attempts.claim(job_id=job.pk, worker="test", tier=0, lease_seconds=60)
        assert claimed is not None, f"job {job.pk} is {job.state}"
        attempts.mark_running(job_id=claimed.pk, fence=claimed.fence)
        ending = attempts.Ending(outcome, reason, "run.diverged" if reason else "", result=result or {})
        attempts.finish(job_id=claimed.pk, fence=claimed.fence, ending=ending)


@pytest.fixture
def plant(people: People, fake_tracking: Any) -> Plant:
    """The personas, and the dataset churn@1 of five rows."""
    from tests.support.datasets import ready_version

    return Plant(people, fake_tracking, ready_version(people))
