"""How many bytes runs keep in MLflow's part of the store: logged models and all other artifacts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from adapters.storage import get_store
from adapters.tracking.protocol import STORE_PREFIX, workspace_name
from apps.accounts.usage import BYTES, Gauge, register_meter

_OF_MODEL = re.compile(r"/models/m-[0-9a-f]+/")


def file_bytes(projects: Sequence[UUID]) -> Mapping[UUID, Mapping[str, float]]:
    """Files of logged models, which registered versions point to, and everything else that runs have logged."""
    store = get_store()
    found = {}
    for project in projects:
        kept = {"models": 0.0, "artifacts": 0.0}
        for key, size in store.sizes(f"{STORE_PREFIX}workspaces/{workspace_name(project)}"):
            kept["models" if _OF_MODEL.search(key) else "artifacts"] += size
        found[project] = kept
    return found


register_meter(file_bytes, Gauge("models", "Models", BYTES), Gauge("artifacts", "Artifacts", BYTES))
