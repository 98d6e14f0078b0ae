"""What a request may name: runs and models of this project, and for a job only what is its own.

MLflow keeps some ids as they come, without looking whether they are of the same workspace (a logged model's
run, the models a run used or made); they are looked up here first. The token of a job's attempt writes to the
job's run and to the children of that run, and to nothing else.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from foundation.errors import Forbidden, Invalid, NotFound
from gateway.mlflow import bodies
from gateway.mlflow.rules import API, RUN_ID, Call, Treatment, content_of, run_of
from gateway.mlflow.upstream import Answer

ARTIFACTS = re.compile(
    r"/api/2\.0/mlflow-artifacts/(?:artifacts|presigned|mpu/(?:create|complete|abort))/(.*)", re.DOTALL
)
LOGGED_MODELS = re.compile(rf"{re.escape(API)}/logged-models/([^/]+)(?:/.*)?", re.DOTALL)
MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
#: After a lost attempt a run gets a fresh folder, artifacts-<8 digits> (adapters.tracking reset_run).
OF_RUN = re.compile(r"workspaces/[^/]+/[^/]+/([0-9a-f]{32})/artifacts(?:-[0-9a-f]{8})?/.+", re.DOTALL)
OF_MODEL = re.compile(r"workspaces/[^/]+/[^/]+/models/(m-[0-9a-f]{32})/.+", re.DOTALL)


async def check_run(call: Call, run_id: str) -> None:
    """Raises NotFound unless the run is one of this project."""
    if not RUN_ID.fullmatch(run_id) or not content_of(await call.get_run(run_id)):
        raise NotFound("tracking.no_run", f"Run with id={run_id[:40]} not found")


async def find_model(call: Call, model_id: str) -> dict[str, Any]:
    """MLflow's info about a logged model of this project. Raises NotFound."""
    missing = NotFound("tracking.no_model", f"Logged model with ID '{model_id[:40]}' not found.")
    if not MODEL_ID.fullmatch(model_id):
        raise missing
    answer = await call.upstream.ask("GET", f"{API}/logged-models/{model_id}", call.headers, None)
    info = content_of(answer).get("model", {}).get("info")
    if not isinstance(info, dict):
        raise missing
    return info


async def check_own_model(call: Call, model_id: str) -> None:
    """A job changes only models that its own runs logged. Raises Forbidden, NotFound."""
    if call.caller.job_id is not None:
        info = await find_model(call, model_id)
        await call.check_own_run(str(info.get("source_run_id") or ""))


async def log(call: Call) -> Answer:
    """Logging to a run; only the tokens of jobs are led through here."""
    await call.check_own_run(run_of(call))
    return await call.forward()


async def link(call: Call) -> Answer:
    """The models and datasets that a run used, or the models that it made: all of this project."""
    await call.check_own_run(run_of(call))
    models = call.fields.get("models") or []
    if not isinstance(models, list) or not all(isinstance(entry, dict) for entry in models):
        raise Invalid("tracking.malformed", "The field 'models' must be a list of objects.")
    for entry in models:
        await find_model(call, str(entry.get("model_id") or entry.get("modelId") or ""))
    return await call.forward()


async def create_logged_model(call: Call) -> Answer:
    """A model that a run logs: the run is one of this project; a job's own when it names none."""
    call.map_default()
    own = await call.own_run()
    run_id = bodies.text(call.fields, "source_run_id")
    if own is not None and not run_id:
        run_id = call.fields["source_run_id"] = own
    if run_id:
        await check_run(call, run_id)
        await call.check_own_run(run_id)
    return await call.forward()


async def change_logged_model(call: Call) -> Answer:
    """The state, parameters or tags of a logged model: the one in the address."""
    model_id = _model_in_path(call)
    await check_own_model(call, model_id)
    if call.method != "DELETE":
        call.fields["model_id"] = model_id  # MLflow reads it from either place
    return await call.forward()


async def delete_logged_model(call: Call) -> Answer:
    """Not one that is registered: its version needs it."""
    model_id = _model_in_path(call)
    await check_own_model(call, model_id)
    if await call.ports.is_registered(call.project, logged_model=model_id):
        raise registered()
    return await call.forward()


def registered() -> Forbidden:
    """The error for changing what a registered version consists of."""
    return Forbidden(
        "tracking.registered",
        "The files of a registered model version do not change: log a new model and register that.",
    )


def _model_in_path(call: Call) -> str:
    match = LOGGED_MODELS.fullmatch(unquote(call.path))
    model_id = match.group(1) if match else ""
    if not MODEL_ID.fullmatch(model_id):
        raise NotFound("tracking.no_model", f"Logged model with ID '{model_id[:40]}' not found.")
    return model_id


# --- artifacts


def artifact_of(path: str, workspace: str, *, write: bool) -> str:
    """The artifact that an address names, as "workspaces/…". Raises NotFound for one of another project, or
    one that could leave its folder, however often it is encoded; Invalid where such a name would be made."""
    match = ARTIFACTS.fullmatch(path)
    return check_artifact(match.group(1) if match else "", workspace, write=write)


def check_artifact(name: str, workspace: str, *, write: bool = False) -> str:
    """The same for a name alone."""
    missing = NotFound("tracking.no_artifact", "There is no such artifact.")
    for text in readings(name):
        if any(part in ("..", ".") for part in re.split(r"[/\\]", text)) or "\x00" in text or "\\" in text:
            if write:
                raise Invalid(
                    "tracking.bad_name",
                    "An artifact's name has no backslash, no NUL, and no part '.' or '..', however encoded.",
                )
            raise missing
        if _below_workspaces(text, workspace).split("/")[1] != workspace:
            raise missing
    return _below_workspaces(name, workspace)


def readings(name: str) -> list[str]:
    """A name and what it becomes when it is decoded again and again. Raises NotFound where that has no end."""
    found = [name]
    while (decoded := unquote(found[-1])) != found[-1]:
        found.append(decoded)
        if len(found) > 6:
            raise NotFound("tracking.no_artifact", "There is no such artifact.")
    return found


def _below_workspaces(name: str, workspace: str) -> str:
    parts = [part for part in name.split("/") if part]
    return "/".join(
        parts if parts[:1] == ["workspaces"] and len(parts) > 1 else ["workspaces", workspace, *parts]
    )


async def check_may_write(call: Call, artifact: str) -> None:
    """A registered version is what was checked and approved: nobody exchanges its files afterwards; and a job
    writes below its own runs. Raises Forbidden."""
    for text in readings(artifact):
        if await call.ports.is_registered(call.project, path=text):
            raise registered()
    if call.caller.job_id is None:
        return
    if match := OF_RUN.fullmatch(artifact):
        await call.check_own_run(match.group(1))
    elif match := OF_MODEL.fullmatch(artifact):
        await check_own_model(call, match.group(1))
    else:
        raise call.not_own()


TREATMENTS: dict[str, Treatment] = {
    "log": log,
    "link": link,
    "create_logged_model": create_logged_model,
    "change_logged_model": change_logged_model,
    "delete_logged_model": delete_logged_model,
}
