"""The MLflow server of the studio: lean, on a private unix socket, reachable only through the gateway.

`main(config)` becomes that server; `migrate(config)` brings MLflow's tables to the pinned release's revision
in a process of its own (importing mlflow costs seconds and memory that the keeper must not pay).

MLflow is started without its own supervisor: uvicorn runs `mlflow.server.fastapi_app:app` with the variables
that `mlflow server` would set for its workers. These names are private to MLflow, so its version is pinned
and tests/tracking starts the server for real.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from adapters.tracking.protocol import STORE_PREFIX
from adapters.tracking.schema import REVISION

PLATFORM_ROOT = Path(__file__).resolve().parents[2]
URL_VARIABLE = "ATELIER_MLFLOW_MIGRATE_URL"
MIGRATION_SECONDS = 600
KEEP_ALIVE_SECONDS = (
    90  # longer than the gateway keeps an idle connection, which so never meets a closing one
)
REQUEST_HOST = "localhost"
"""The Host header that the gateway sends; the server refuses any other (DNS rebinding)."""


class ServerConfig(Protocol):
    """What the server needs of the studio's configuration."""

    @property
    def mlflow_database_url(self) -> str: ...
    @property
    def storage_url(self) -> str: ...
    @property
    def sockets(self) -> Mapping[str, str]: ...


class MigrationFailed(RuntimeError):
    """MLflow could not bring its tables to the pinned revision. The text is for a person."""


def artifact_destination(storage_url: str) -> tuple[str, dict[str, str]]:
    """Where MLflow's artifact service writes for this object store, and the variables this needs."""
    parts = urlsplit(storage_url)
    options = dict(parse_qsl(parts.query))
    path = f"{parts.path.rstrip('/')}/{STORE_PREFIX.rstrip('/')}"
    environment = {}
    if "endpoint_url" in options:
        environment["MLFLOW_S3_ENDPOINT_URL"] = options["endpoint_url"]
    if "region" in options:
        environment["AWS_DEFAULT_REGION"] = options["region"]
    if parts.scheme in ("", "file"):
        return f"file://{path}", environment
    return urlunsplit((parts.scheme, parts.netloc, path, "", "")), environment


def quiet_environment() -> dict[str, str]:
    """Variables that keep MLflow from connecting anywhere and from starting helpers of its own."""
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_JOB_ENABLE_PERIODIC_TASKS": "false",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def server_environment(config: ServerConfig) -> dict[str, str]:
    """Everything that MLflow's application reads from its environment when it is imported."""
    destination, environment = artifact_destination(config.storage_url)
    return {
        **environment,
        **quiet_environment(),
        "_MLFLOW_SERVER_FILE_STORE": config.mlflow_database_url,
        "_MLFLOW_SERVER_REGISTRY_STORE": config.mlflow_database_url,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": destination,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "MLFLOW_SERVER_ALLOWED_HOSTS": REQUEST_HOST,
        # Connections are budgeted across processes; MLflow opens one pool for each of its three stores.
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "4",
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "8",
        "MLFLOW_SQLALCHEMYSTORE_POOL_RECYCLE": "1800",
    }


def main(config: ServerConfig) -> None:
    """Run the server until SIGTERM or SIGINT. The folder of the socket must be private (0700): the socket
    itself is made with mode 0666 by uvicorn."""
    socket = Path(config.sockets["tracking"])
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if socket.parent.stat().st_mode & 0o077:
        raise PermissionError(f"The folder {socket.parent} of MLflow's socket is open to other users.")
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "_MLFLOW_"))]:
        del os.environ[name]
    os.environ.update(server_environment(config))
    # MLflow leaves a lock file in the temporary folder at every start, and half-received artifacts when killed.
    scratch = socket.parent / "scratch"
    scratch.mkdir(mode=0o700, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    import uvicorn

    uvicorn.run(
        "mlflow.server.fastapi_app:app",
        uds=str(socket),
        workers=1,
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=5,
    )


def current_revision(sqlalchemy_url: str) -> str | None:
    """The revision of MLflow's tables in a database, None when there are none."""
    import psycopg

    url = "postgresql" + sqlalchemy_url[sqlalchemy_url.index(":") :]
    with psycopg.connect(url, connect_timeout=10) as connection:
        found = connection.execute("SELECT to_regclass('mlflow.alembic_version')").fetchone()
        if found is None or found[0] is None:
            return None
        row = connection.execute("SELECT version_num FROM mlflow.alembic_version").fetchone()
        return str(row[0]) if row else None


def migrate(config: ServerConfig) -> bool:
    """Bring MLflow's tables to the pinned revision. Returns whether there was anything to do.

    Raises MigrationFailed with the end of MLflow's own words.
    """
    if current_revision(config.mlflow_database_url) == REVISION:
        return False
    environment = {
        **{name: value for name, value in os.environ.items() if "MLFLOW" not in name},
        **quiet_environment(),
        URL_VARIABLE: config.mlflow_database_url,  # not an argument: those are visible to every user
        "PYTHONPATH": str(PLATFORM_ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from adapters.tracking.server import upgrade_here; upgrade_here()"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=MIGRATION_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-6:])
        raise MigrationFailed(f"MLflow could not upgrade its tables:\n{last}")
    found = current_revision(config.mlflow_database_url)
    if found != REVISION:
        raise MigrationFailed(f"MLflow's tables have revision {found} after the upgrade, not {REVISION}.")
    return True


def upgrade_here() -> None:
    """`mlflow db upgrade` in this process, on the database that the variable URL_VARIABLE names."""
    from mlflow.store.db import utils

    tables: Any = utils  # mlflow's store is not typed
    with tempfile.TemporaryDirectory() as scratch:
        tempfile.tempdir = scratch  # for the lock file that MLflow leaves behind
        engine = tables.create_sqlalchemy_engine_with_retry(os.environ[URL_VARIABLE])
        if tables._is_empty_database(engine):
            tables._initialize_tables(engine)
        else:
            tables._upgrade_db(engine)
