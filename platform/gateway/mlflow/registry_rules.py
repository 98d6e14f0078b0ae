"""The registry's routes that need more than being passed on; see `rules`."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from foundation.errors import Forbidden, Invalid
from gateway.mlflow import bodies, ownership
from gateway.mlflow.news import tell
from gateway.mlflow.rules import (
    API,
    PROMPT_TAG,
    PROTECTED_ALIASES,
    TREATMENTS,
    Call,
    Treatment,
    content_of,
    own_answer,
)
from gateway.mlflow.upstream import Answer


async def alias(call: Call) -> Answer:
    """Set or remove an alias: not one that only a promotion moves."""
    name, wanted = bodies.text(call.fields, "name"), bodies.text(call.fields, "alias")
    if wanted.strip().casefold() in PROTECTED_ALIASES:
        where = f"{call.site}/p/{call.project.slug}/models/{quote(name, safe='')}"
        raise Forbidden(
            "tracking.protected_alias",
            f"The alias '{wanted[:20]}' is moved by a promotion only. Ask for one at {where} or with POST"
            f" /api/v1/projects/{call.project.slug}/models/{quote(name, safe='')}/versions/<number>/promotions.",
        )
    answer = await call.forward()
    if answer.status == 200:
        await tell(call.ports.observe_model(call.caller, call.project, name))
    return answer


async def create_model(call: Call) -> Answer:
    """A new registered model gets its page; a prompt is not a model."""
    answer = await call.forward()
    model = content_of(answer).get("registered_model")
    if model and not _is_prompt(model):
        await tell(call.ports.adopt_model(call.caller, call.project, str(model["name"])))
    return answer


async def create_version(call: Call) -> Answer:
    """A new version, from files that lie in this project."""
    source = bodies.text(call.fields, "source")
    own = f"mlflow-artifacts:/workspaces/{call.tracking.workspace}/"
    prompt = any(
        isinstance(tag, dict) and tag.get("key") == PROMPT_TAG for tag in call.fields.get("tags") or []
    )
    if not prompt and (not source.startswith(("models:/", "runs:/", own)) or ".." in source):
        raise Invalid(
            "tracking.bad_source",
            "A version's source must be a model logged in this project: models:/m-…, runs:/… or its artifact URI.",
        )
    if run_id := bodies.text(call.fields, "run_id"):
        await ownership.check_run(call, run_id)
    answer = await call.forward()
    version = content_of(answer).get("model_version")
    if version and not prompt:
        await tell(
            call.ports.adopt_model(
                call.caller,
                call.project,
                str(version["name"]),
                version=int(version["version"]),
                run_id=str(version.get("run_id") or "") or None,
            )
        )
    return answer


async def describe(call: Call) -> Answer:
    """The description of a model, or of one of its versions."""
    name = bodies.text(call.fields, "name")
    answer = await call.forward()
    if answer.status == 200:
        await tell(call.ports.observe_model(call.caller, call.project, name))
    return answer


async def rename_model(call: Call) -> Answer:
    """Another name: the studio renames its model, MLflow's rows follow in the same transaction."""
    name, new_name = bodies.text(call.fields, "name"), bodies.text(call.fields, "new_name")
    call.refuse_jobs("rename models")
    if not await call.ports.change_model(call.caller, call.project, name, new_name=new_name):
        return await call.forward()
    target = f"{API}/registered-models/get?{urlencode({'name': new_name})}"
    return await call.upstream.ask("GET", target, call.headers, None)


async def delete_model(call: Call) -> Answer:
    """Deleting a model moves it to the studio's trash, from where it can be restored."""
    call.refuse_jobs("delete models")
    if await call.ports.change_model(call.caller, call.project, bodies.text(call.fields, "name")):
        return own_answer({})
    return await call.forward()


async def delete_version(call: Call) -> Answer:
    """Deleting a version moves it to the studio's trash."""
    name, version = bodies.text(call.fields, "name"), bodies.text(call.fields, "version")
    call.refuse_jobs("delete model versions")
    if not version.isdigit() or len(version) > 9:
        raise Invalid("tracking.bad_version", "The version must be a number.")
    if await call.ports.change_model(call.caller, call.project, name, version=int(version)):
        return own_answer({})
    return await call.forward()


def _is_prompt(model: dict[str, object]) -> bool:
    tags = model.get("tags")
    return isinstance(tags, list) and any(tag.get("key") == PROMPT_TAG for tag in tags)


ALL: dict[str, Treatment] = {
    **TREATMENTS,
    **ownership.TREATMENTS,
    "alias": alias,
    "describe": describe,
    "create_model": create_model,
    "create_version": create_version,
    "rename_model": rename_model,
    "delete_model": delete_model,
    "delete_version": delete_version,
}
