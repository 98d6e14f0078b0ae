"""Program of the job registry.describe: what a model folder says about itself, without loading it."""

from __future__ import annotations

from typing import Any

from adapters.tracking.models import describe
from apps.registry.sandbox.folders import rebuild
from foundation.tasks import Context, UserError

EXAMPLES = 5


def main(ctx: Context) -> dict[str, Any]:
    """payload: files {input name: path in the folder}. Returns signature, example (records), flavors, task
    and target. Raises UserError "registry.bad_model" for a file that cannot be read."""
    folder = rebuild(ctx, ctx.payload["files"], "model")
    try:
        found = describe(folder)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"The MLmodel file cannot be read: {error}", code="registry.bad_model") from error
    return {
        "signature": {"inputs": found.columns, "outputs": found.outputs} if found.columns else {},
        "example": found.records()[:EXAMPLES],
        "flavors": list(found.flavors),
        "task": str(found.metadata.get("task") or "")[:20],
        "target": str(found.metadata.get("target") or "")[:255],
    }
