"""Program of the job deployments.build: an MLflow model folder becomes a Bento."""

from __future__ import annotations

import shutil
from typing import Any

from apps.deployments.layout import SYSTEM
from foundation.tasks import Context, UserError


def main(ctx: Context) -> dict[str, Any]:
    """Build the Bento into outputs/bento.

    payload: files {input name: path below the model folder}, version (the Bento's version tag), labels.
    Returns {"bundle": what a deployment must know, "files": paths below outputs/bento}.
    """
    from adapters.serving.bento import build

    ctx.progress(0, 3, "Copying the model")
    model = ctx.folder / "model"
    for name, relative in ctx.payload["files"].items():
        target = model / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ctx.inputs[name], target)
    if not (model / "MLmodel").is_file():
        raise UserError(
            "The model version has no MLmodel file: its artifacts were deleted, or it is not an MLflow model.",
            code="deployments.no_model",
        )
    ctx.progress(1, 3, "Loading the model and packing it into a Bento")
    target = ctx.outputs / "bento"
    bundle = build(
        model, target, work=ctx.folder, version=ctx.payload["version"], labels=ctx.payload["labels"]
    )
    for column in bundle["columns"]:
        if column["name"] in SYSTEM:
            raise UserError(
                f"The input column '{column['name']}' has a name that recorded inferences keep for themselves.",
                code="deployments.unsupported_input",
            )
    ctx.log.info("built %s: %d input columns, %s", bundle["tag"], len(bundle["columns"]), bundle["task"])
    ctx.progress(3, 3, "Built")
    files = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    return {"bundle": bundle, "files": files}
