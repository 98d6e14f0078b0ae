"""What every process knows about its studio.

`load()` joins three sources: the environment, HOME/run/endpoints.json (written by the keeper, so that
`manage.py worker` in another terminal with the same ATELIER_HOME joins), and HOME/secrets. The environment
wins. A bad value ends the start with a sentence that says which and why.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from runtime import settings_table as check
from runtime.errors import ConfigError
from runtime.home import Home, read_json, read_text

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_HOST = "127.0.0.1"
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (listening there, reached here)
DEFAULT_PORT = 8000
DEFAULT_SLOTS = 2
SOCKETS = ("tracking", "serving")


@dataclass(frozen=True)
class Config:
    """One studio as seen by one process. Fields that hold passwords are left out of repr().

    `running` is False when no keeper has described the studio and no services are named: commands such as
    `makemigrations` work, everything that needs a database says so.
    """

    root: Path
    home: Path
    running: bool
    host: str
    port: int
    public_url: str
    allowed_hosts: tuple[str, ...]
    slots: int
    generation: str
    keeper_pid: int | None
    embedded_database: bool
    embedded_redis: bool
    storage_url: str
    run_dir: Path
    log_dir: Path
    staging_dir: Path
    attempts_dir: Path
    socket_dir: Path
    sockets: Mapping[str, str]
    database_url: str = field(repr=False)
    mlflow_database_url: str = field(repr=False)
    optuna_database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    broker_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    smtp_url: str = field(default="", repr=False)
    email_from: str = ""
    # Of a worker: the queues it serves and what its jobs may use together (None = what the machine has).
    queues: tuple[str, ...] = (check.DEFAULT_QUEUE,)
    cpus: float | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    internal_url: str = ""

    def django_database(self) -> dict[str, Any]:
        """DATABASES["default"] for Django: the schema `atelier` is the search path."""
        if not self.database_url:
            return {"ENGINE": "django.db.backends.postgresql", "NAME": "atelier", "HOST": str(self.run_dir)}
        parts = urlsplit(self.database_url)
        options = dict(parse_qsl(parts.query))
        host = options.pop("host", parts.hostname or "")
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.removeprefix("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": host,
            "PORT": str(parts.port or ""),
            "OPTIONS": options,
        }

    @property
    def local_host(self) -> str:
        """The address under which this machine itself reaches the web process."""
        return WILDCARDS.get(self.host, self.host)

    def require_services(self) -> Config:
        """Return self, or raise ConfigError when there is no database or broker to talk to."""
        needed = {"ATELIER_DATABASE_URL": self.database_url, "ATELIER_REDIS_URL": self.redis_url}
        missing = [name for name, value in needed.items() if not value]
        if missing:
            raise ConfigError(
                f"No studio runs on the home {self.home}, and {' and '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} not set: start `manage.py up`, or name the services."
            )
        return self


def load(environ: Mapping[str, str] | None = None, *, join: bool = True) -> Config:
    """Read the settings of this process.

    With join=False the records of a running studio are left aside: what `up` starts from. Raises ConfigError
    with a sentence that names the setting and the reason.
    """
    env = os.environ if environ is None else environ
    home = Home(check.home_path(env.get("ATELIER_HOME") or str(ROOT / "var")))
    check.check_tuning(env)
    known = read_json(home.endpoints) if join else {}
    services = read_json(home.services) if known else {}

    def text(name: str, recorded: str, default: str = "") -> str:
        return env.get(name) or str(known.get(recorded) or default)

    host = check.listen_host(text("ATELIER_HOST", "host", DEFAULT_HOST))
    port = check.whole_number("ATELIER_PORT", text("ATELIER_PORT", "port", str(DEFAULT_PORT)), 1, 65535)
    slots = check.whole_number(
        "ATELIER_WORKERS", text("ATELIER_WORKERS", "slots", str(DEFAULT_SLOTS)), 1, 256
    )
    public = check.public_url(text("ATELIER_PUBLIC_URL", "public_url", f"http://{_in_url(host)}:{port}"))
    databases = _databases(env, services)
    named_redis = env.get("ATELIER_REDIS_URL")
    redis = check.redis_url(named_redis) if named_redis else str(services.get("redis_url", ""))
    storage = check.storage_url(text("ATELIER_STORAGE_URL", "storage_url", home.objects.as_uri()))
    smtp_url, email_from = check.mail(
        env.get("ATELIER_SMTP_URL") or str(services.get("smtp_url", "")),
        env.get("ATELIER_EMAIL_FROM") or str(services.get("email_from", "")),
    )
    cpus, memory_bytes, gpus = check.capacity(env)
    # Without a keeper, sockets lie where the processes of several containers can meet.
    sockets = Path(known.get("socket_dir") or home.run / "sockets")
    return Config(
        root=ROOT,
        home=home.path,
        running=bool(databases[0] and redis),
        host=host,
        port=port,
        public_url=public,
        allowed_hosts=_allowed_hosts(text("ATELIER_ALLOWED_HOSTS", "allowed_hosts"), host, public),
        slots=slots,
        generation=str(known.get("generation") or ""),
        keeper_pid=known.get("keeper_pid"),
        embedded_database=not env.get("ATELIER_DATABASE_URL") and bool(known.get("embedded_database", True)),
        embedded_redis=not env.get("ATELIER_REDIS_URL") and bool(known.get("embedded_redis", True)),
        storage_url=storage,
        run_dir=home.run,
        log_dir=home.logs,
        staging_dir=home.staging,
        attempts_dir=home.attempts,
        socket_dir=sockets,
        sockets={name: str(sockets / f"{name}.sock") for name in SOCKETS},
        database_url=databases[0],
        mlflow_database_url=databases[1],
        optuna_database_url=databases[2],
        redis_url=redis,
        broker_url=check.as_broker(redis) if redis else "",
        secret_key=_secret_key(env, home),
        smtp_url=smtp_url,
        email_from=email_from,
        queues=check.queues(env.get("ATELIER_QUEUES") or check.DEFAULT_QUEUE),
        cpus=cpus,
        memory_bytes=memory_bytes,
        gpus=gpus,
        internal_url=_internal_url(env, host, port, known=bool(known)),
    )


def _internal_url(env: Mapping[str, str], host: str, port: int, *, known: bool) -> str:
    """Where jobs of this machine reach web: as told, else on this machine itself when the studio runs here, else
    (a worker elsewhere) as people do."""
    if named := env.get("ATELIER_INTERNAL_URL"):
        return check.internal_url(named).rstrip("/")
    if not known and (public := env.get("ATELIER_PUBLIC_URL")):
        return check.public_url(public)
    return f"http://{_in_url(host)}:{port}"


def _databases(env: Mapping[str, str], services: Mapping[str, Any]) -> tuple[str, str, str]:
    """Addresses for Django (libpq form), MLflow and Optuna (SQLAlchemy form)."""
    named = env.get("ATELIER_DATABASE_URL")
    if named:
        return external_databases(check.database_url(named))
    return (
        str(services.get("database_url", "")),
        str(services.get("mlflow_database_url", "")),
        str(services.get("optuna_database_url", "")),
    )


def external_databases(url: str) -> tuple[str, str, str]:
    """One role that owns all three schemas of an external database."""
    url = check.with_patience(url)
    return (
        check.with_schema(url, "atelier"),
        check.as_sqlalchemy(check.with_schema(url, "mlflow")),
        check.as_sqlalchemy(check.with_schema(url, "optuna")),
    )


def _secret_key(env: Mapping[str, str], home: Home) -> str:
    named = env.get("ATELIER_SECRET_KEY")
    if named:
        return check.secret_key(named)
    # Without a home there is nothing to sign that outlives this process (makemigrations, check).
    return read_text(home.secret_key) or secrets.token_urlsafe(48)


def _allowed_hosts(text: str, host: str, public: str) -> tuple[str, ...]:
    named = urlsplit(public).hostname or ""
    hosts = {"localhost", "127.0.0.1", "[::1]", *check.allowed_hosts(text)}
    for own in (host, named):
        if own and own not in WILDCARDS:
            hosts.add(_in_url(own))
    return tuple(sorted(hosts))


def _in_url(host: str) -> str:
    """A host as it stands in a URL; people reach a wildcard address by the loopback one."""
    host = WILDCARDS.get(host, host)
    return f"[{host}]" if ":" in host else host
