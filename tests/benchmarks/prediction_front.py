"""Run as a process of its own: the studio's gateway before one model process.

Argument: JSON {"port", "socket", "spool", "bundle", "token"}. Everything of the real path runs: reading the token and
comparing its hash, the project, validation against the signature, the model process over its socket, and the spool.
Only the look-ups in the database are dictionaries, as they are behind the caches of atelier.ports.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from foundation.errors import NotFound, Unauthenticated  # noqa: E402
from foundation.ids import uuid7  # noqa: E402
from gateway.app import Gateway  # noqa: E402
from gateway.capture import Spool  # noqa: E402
from gateway.ports import Caller, Column, Credentials, ProjectRef, Route, Signature  # noqa: E402
from gateway.predictions import Predictions  # noqa: E402


def make(plan: dict[str, Any]) -> Gateway:
    """The gateway with ports over dictionaries."""
    callers = {hashlib.sha256(plan["token"].encode()).hexdigest(): Caller(uuid7(), "bench", "write")}
    project = ProjectRef(uuid7(), "bench", uuid7(), True)
    bundle = plan["bundle"]
    signature = Signature(
        columns=tuple(Column(c["name"], c["type"], c["required"]) for c in bundle["columns"]),
        task=bundle["task"],
        classes=tuple(bundle["classes"]),
    )
    route = Route(uuid7(), "iris", project.id, "bench", 1, "iris/1", plan["socket"], signature, "ready")

    async def authenticate(credentials: Credentials) -> Caller:
        digest = hashlib.sha256((credentials.token or "").encode()).hexdigest()
        if digest not in callers:
            raise Unauthenticated("auth.required", "Who are you?")
        return callers[digest]

    async def resolve(caller: Caller, slug: str, *, write: bool) -> ProjectRef:
        if slug != project.slug:
            raise NotFound("project.not_found", "There is no such project.")
        return project

    async def find(found: ProjectRef, name: str, *, fresh: bool = False) -> Route:
        return route

    predictions = Predictions(
        authenticate=authenticate,
        resolve_project=resolve,
        route_deployment=find,
        record=Spool(Path(plan["spool"])),
    )
    return Gateway(django=predictions, predictions=predictions)


def main() -> None:
    """Serve until SIGTERM, with the settings of the studio's web process."""
    import uvicorn

    plan = json.loads(sys.argv[1])
    config = uvicorn.Config(
        make(plan),
        host="127.0.0.1",
        port=plan["port"],
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
