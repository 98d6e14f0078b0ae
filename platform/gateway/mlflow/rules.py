"""Routes that need more than being passed on: one small function for each special treatment.

A treatment gets a `Call` and returns MLflow's answer, or one of its own. What it tells the studio after
MLflow has answered (adopt, observe) is best effort, see `news`; all of these ports are idempotent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from foundation.errors import Forbidden, Invalid, NotFound
from gateway.mlflow import bodies
from gateway.mlflow.news import News
from gateway.mlflow.upstream import Answer, Upstream
from gateway.ports import Caller, Ports, ProjectRef, TrackingRef

PROTECTED_ALIASES = frozenset({"staging", "production"})
CLAIM_TAG = "atelier.client_attempt"
PARENT_TAG = "mlflow.parentRunId"
USER_TAG = "mlflow.user"
PROMPT_TAG = "mlflow.prompt.is_prompt"
RUN_ID = re.compile(r"[0-9a-f]{32}")
API = "/api/2.0/mlflow"


@dataclass(slots=True)
class Call:
    """One request on its way to MLflow. site: scheme and host under which the client sees the studio."""

    upstream: Upstream
    ports: Ports
    news: News
    caller: Caller
    project: ProjectRef
    tracking: TrackingRef
    method: str
    path: str
    query: str
    headers: dict[str, str]
    site: str
    fields: dict[str, Any] = field(default_factory=dict)

    async def forward(self) -> Answer:
        """Ask MLflow with the fields as they are now."""
        target = self.path + (f"?{self.query}" if self.query else "")
        if self.method in ("GET", "HEAD"):
            return await self.upstream.ask(self.method, target, self.headers, None)
        return await self.post(target, self.fields, self.method)

    async def post(self, target: str, fields: dict[str, Any], method: str = "POST") -> Answer:
        """Ask MLflow with other fields."""
        headers = {**self.headers, "Content-Type": "application/json"}
        return await self.upstream.ask(method, target, headers, bodies.write(fields))

    async def get_run(self, run_id: str) -> Answer:
        """MLflow's answer about a run."""
        return await self.upstream.ask("GET", f"{API}/runs/get?run_id={run_id}", self.headers, None)

    async def own_run(self) -> str | None:
        """The run of the job whose token calls, None for everybody else."""
        return await self.ports.job_run(self.caller) if self.caller.job_id else None

    async def check_own_run(self, run_id: str) -> None:
        """Raises Forbidden when a job's token means a run that is neither its own nor a child of that."""
        own = await self.own_run()
        if self.caller.job_id is None or run_id == own:
            return
        await self.news.settled(run_id)
        if own is None or not await self.ports.is_child(self.project, run_id, parent=own):
            raise self.not_own()

    @staticmethod
    def not_own() -> Forbidden:
        """The error for what belongs to another run than the job's."""
        return Forbidden(
            "tracking.job_token", "The token of a job writes to the job's own run and its children only."
        )

    def map_default(self) -> None:
        """Replace experiment 0 in the fields by the project's Default experiment."""
        if bodies.text(self.fields, "experiment_id") in ("", "0") and "experiment_id" in self.fields:
            self.fields["experiment_id"] = self.tracking.default_experiment
        ids = self.fields.get("experiment_ids")
        if isinstance(ids, list):
            self.fields["experiment_ids"] = [
                self.tracking.default_experiment if str(entry) == "0" else entry for entry in ids
            ]

    def refuse_jobs(self, what: str) -> None:
        """Raises Forbidden when a job's token asks for something that only people do."""
        if self.caller.job_id is not None:
            raise Forbidden("tracking.job_token", f"The token of a job cannot {what}.")


Treatment = Callable[[Call], Awaitable[Answer]]


def content_of(answer: Answer) -> dict[str, Any]:
    """The JSON of a successful answer, empty for any other."""
    if answer.status != 200:
        return {}
    try:
        content = json.loads(answer.body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def own_answer(content: dict[str, Any]) -> Answer:
    """An answer of the studio's own in MLflow's words."""
    return Answer(200, "application/json", json.dumps(content).encode())


# --- the project's own Default experiment stands for MLflow's experiment 0


async def experiment_query(call: Call) -> Answer:
    """Experiment 0 in the query."""
    pairs = parse_qsl(call.query, keep_blank_values=True)
    call.query = urlencode(
        [
            (name, call.tracking.default_experiment if (name, value) == ("experiment_id", "0") else value)
            for name, value in pairs
        ]
    )
    return await call.forward()


async def experiment_body(call: Call) -> Answer:
    """Experiment 0 in the body; the Default experiment keeps its name."""
    call.map_default()
    if call.path.endswith("/experiments/update") and _is_default(call):
        raise Forbidden("tracking.default_experiment", "The Default experiment keeps its name.")
    return await call.forward()


async def experiment_body_alone(call: Call) -> Answer:
    """Deleting an experiment: not the Default one, and not by a job."""
    call.refuse_jobs("delete experiments")
    call.map_default()
    if _is_default(call):
        raise Forbidden("tracking.default_experiment", "The Default experiment cannot be deleted.")
    return await call.forward()


def _is_default(call: Call) -> bool:
    return bodies.text(call.fields, "experiment_id") == call.tracking.default_experiment


# --- runs


async def create_run(call: Call) -> Answer:
    """A new run. The first one that a job's attempt asks for is the job's own; later ones are its children."""
    call.map_default()
    call.fields.setdefault("experiment_id", call.tracking.default_experiment)
    tags = _tags(call.fields)
    _check_start(call.fields)
    own = await call.own_run()
    if own is not None:
        claimed = await _claim(call, own, tags)
        if claimed is not None:
            return claimed
        if not any(tag.get("key") == PARENT_TAG for tag in tags):
            tags.append({"key": PARENT_TAG, "value": own})
    call.fields["user_id"] = call.caller.username
    tags = [tag for tag in tags if tag.get("key") != USER_TAG]
    call.fields["tags"] = [*tags, {"key": USER_TAG, "value": call.caller.username}]
    answer = await call.forward()
    info = content_of(answer).get("run", {}).get("info", {})
    if info:
        adopted = call.ports.adopt_run(
            call.caller,
            call.project,
            str(info["run_id"]),
            experiment_id=str(info["experiment_id"]),
            name=str(info.get("run_name") or ""),
            parent=own,
        )
        named = next((tag["value"] for tag in tags if tag["key"] == PARENT_TAG), "")
        await call.news.of_new_run(str(info["run_id"]), named, adopted)
    return answer


async def _claim(call: Call, own: str, tags: list[dict[str, Any]]) -> Answer | None:
    """The job's own run with the name and tags that the client sent; None when this attempt has it already."""
    answer = await call.get_run(own)
    run = content_of(answer).get("run")
    if run is None:
        raise NotFound("tracking.no_run", "The run of this job is not there any more.")
    attempt = str(call.caller.fence)
    known = {tag["key"]: tag.get("value", "") for tag in run.get("data", {}).get("tags", [])}
    if known.get(CLAIM_TAG) == attempt:
        return None
    kept = [tag for tag in tags if tag.get("key") not in (USER_TAG, CLAIM_TAG)]
    batch = {"run_id": own, "tags": [*kept, {"key": CLAIM_TAG, "value": attempt}]}
    logged = await call.post(f"{API}/runs/log-batch", batch)
    name = bodies.text(call.fields, "run_name")
    if logged.status == 200 and name:
        logged = await call.post(f"{API}/runs/update", {"run_id": own, "run_name": name})
    return logged if logged.status != 200 else await call.get_run(own)


def _tags(fields: dict[str, Any]) -> list[dict[str, Any]]:
    tags = fields.get("tags")
    if tags is None:
        return []
    if not isinstance(tags, list) or not all(
        isinstance(tag, dict) and all(isinstance(tag.get(name), str) for name in ("key", "value"))
        for tag in tags
    ):
        raise Invalid("tracking.bad_tags", "The field 'tags' must be a list of {key, value}, both texts.")
    return list(tags)


def _check_start(fields: dict[str, Any]) -> None:
    """MLflow would drop what follows a number that it cannot read, the caller's name for one."""
    given = fields.get("start_time", 0)
    if not re.fullmatch(r"[0-9]{1,14}", str(given)) or isinstance(given, float):
        raise Invalid(
            "tracking.bad_value", "The field 'start_time' must be a time in milliseconds since 1970."
        )


def run_of(call: Call) -> str:
    """The run that a body names, in either of MLflow's two fields."""
    run_id = bodies.text(call.fields, "run_id") or bodies.text(call.fields, "run_uuid")
    call.fields.pop("run_uuid", None)
    call.fields["run_id"] = run_id
    if not RUN_ID.fullmatch(run_id):
        raise NotFound("tracking.no_run", f"Run with id={run_id[:40]} not found")
    return run_id


async def update_run(call: Call) -> Answer:
    """Name and status. A job decides the state of its own run: there, status and end time are left out."""
    run_id = run_of(call)
    await call.check_own_run(run_id)
    if run_id == await call.own_run() or await call.ports.job_decides(call.project, run_id):
        call.fields.pop("status", None)
        call.fields.pop("end_time", None)
        if not bodies.text(call.fields, "run_name"):
            answer = await call.get_run(run_id)
            info = content_of(answer).get("run", {}).get("info")
            return own_answer({"run_info": info}) if info else answer
        return await call.forward()
    asked = "status" in call.fields
    answer = await call.forward()
    info = content_of(answer).get("run_info", {})
    if asked and info:
        observed = call.ports.observe_run(call.caller, call.project, run_id, status=str(info.get("status")))
        await call.news.of_run(run_id, observed)
    return answer


async def delete_run(call: Call) -> Answer:
    """To the trash; a job cannot delete the run that it is."""
    run_id = run_of(call)
    if run_id == await call.own_run():
        raise Forbidden("tracking.job_token", "A job cannot delete its own run.")
    await call.check_own_run(run_id)
    answer = await call.forward()
    if answer.status == 200:
        observed = call.ports.observe_run(call.caller, call.project, run_id, status="DELETED")
        await call.news.of_run(run_id, observed)
    return answer


async def restore_run(call: Call) -> Answer:
    """Back from the trash."""
    run_id = run_of(call)
    await call.check_own_run(run_id)
    answer = await call.forward()
    if answer.status == 200:
        observed = call.ports.observe_run(call.caller, call.project, run_id, status="RESTORED")
        await call.news.of_run(run_id, observed)
    return answer


# --- about the server


async def server_info(call: Call) -> Answer:
    """Workspaces are the studio's own affair: a client must not offer or send any."""
    answer = await call.forward()
    content = content_of(answer)
    return own_answer({**content, "workspaces_enabled": False}) if content else answer


TREATMENTS: dict[str, Treatment] = {
    "experiment_query": experiment_query,
    "experiment_body": experiment_body,
    "experiment_body_alone": experiment_body_alone,
    "create_run": create_run,
    "update_run": update_run,
    "delete_run": delete_run,
    "restore_run": restore_run,
    "server_info": server_info,
}
