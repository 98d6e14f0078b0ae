"""The records by which the processes of one studio find their services."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from runtime import postgres, valkey
from runtime.config import external_databases
from runtime.home import Home, write_private
from runtime.settings_table import as_sqlalchemy, with_schema


def service_addresses(
    home: Home,
    *,
    database_dir: Path | None = None,
    broker_dir: Path | None = None,
    database_url: str = "",
    redis_url: str = "",
) -> dict[str, str]:
    """Addresses with passwords of the services in use: embedded (a socket folder) or external (a URL)."""
    addresses = {"redis_url": redis_url}
    passwords = home.passwords_kept()
    if broker_dir is not None:
        addresses["redis_url"] = valkey.url(broker_dir, passwords["valkey"])
    if database_dir is not None:
        own, mlflow, optuna = (
            with_schema(postgres.url(database_dir, role, passwords[role]), role)
            for role in ("atelier", "mlflow", "optuna")
        )
        databases = (own, as_sqlalchemy(mlflow), as_sqlalchemy(optuna))
    else:
        databases = external_databases(database_url)
    names = ("database_url", "mlflow_database_url", "optuna_database_url")
    return {**addresses, **dict(zip(names, databases, strict=True))}


def write_services(home: Home, addresses: Mapping[str, str]) -> None:
    """Keep the addresses in HOME/secrets/services.json (mode 0600)."""
    write_private(home.services, json.dumps(dict(addresses)))
