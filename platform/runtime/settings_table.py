"""Every environment variable that Atelier reads, and the checks of those a person sets.

The table is what `doctor` and docs/operations.md are held against (tests/runtime/test_docs.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, quote, urlencode, urlsplit, urlunsplit

from runtime.errors import ConfigError

SETTINGS: Mapping[str, str] = {
    "ATELIER_HOME": "folder of everything the studio keeps (default ./var)",
    "ATELIER_DATABASE_URL": "external PostgreSQL, not the embedded one: postgresql://user:password@host/db",
    "ATELIER_REDIS_URL": "external Valkey or Redis, not the embedded one: redis://:password@host:6379/0",
    "ATELIER_STORAGE_URL": "object store: file:///folder or s3://bucket/prefix (default HOME/objects)",
    "ATELIER_SECRET_KEY": "signing key of at least 32 characters (default: random, kept in HOME/secrets)",
    "ATELIER_ADMIN_PASSWORD": "password of the account `admin`, used when that account is first made",
    "ATELIER_PUBLIC_URL": "address under which people reach the studio (default http://HOST:PORT)",
    "ATELIER_ALLOWED_HOSTS": "further host names that requests may carry, separated by commas",
    "ATELIER_SMTP_URL": "mail server: smtp://user:password@host:587 or smtps://… (default: no e-mail)",
    "ATELIER_EMAIL_FROM": "sender of e-mail, as Atelier <atelier@example.org>; needed with ATELIER_SMTP_URL",
    "ATELIER_HOST": "address to listen on, as --host (default 127.0.0.1)",
    "ATELIER_PORT": "port to listen on, as --port (default 8000)",
    "ATELIER_WORKERS": "slots of the worker, as --workers (default 2)",
    "ATELIER_DATABASE_POOL": "most connections of one process to the database (default 10)",
    "ATELIER_QUEUES": "queues that this worker serves, separated by commas (default cpu)",
    "ATELIER_CPUS": "processors that this worker's jobs may use together (default: those of the machine)",
    "ATELIER_MEMORY_GB": "memory that this worker's jobs may use together (default: 80 % of the machine's)",
    "ATELIER_GPUS": "graphics processors that this worker offers (default: those of NVIDIA it finds)",
    "ATELIER_LEASE_SECONDS": "a worker silent for so long has lost its jobs (default 45)",
    "ATELIER_START_SECONDS": "from the start of a job's program to its first line (default 300)",
    "ATELIER_CHECKPOINT_SECONDS": "how often checkpoints of running jobs are kept (default 10)",
    "ATELIER_GRACE_SECONDS": "from SIGTERM to SIGKILL of a job's child (default 10)",
    "ATELIER_DRAIN_SECONDS": "how long a stopping worker lets its jobs finish (default 4)",
    "ATELIER_ISOLATION": "the strongest isolation tier of jobs, 0 to 3 (default: the strongest that works)",
    "ATELIER_INTERNAL_URL": "address of web as jobs reach it, where it is not this machine (http://web:8000)",
    "ATELIER_GIT_ALLOW": "hosts inside the network (git.corp.local:8443) and folders (/srv/git) that code may be fetched from",
    "ATELIER_ENVIRONMENT_DAYS": "packages that no run used for so many days leave the disk (default 30)",
    "ATELIER_SOURCE_BUILDS": "1 lets environments build packages that have no wheel: their code then runs (default 0)",
    "ATELIER_LOG_LEVEL": "DEBUG, INFO, WARNING or ERROR (default INFO)",
    "ATELIER_DEBUG": "1 shows tracebacks in pages: for development, never where others can reach it",
    "ATELIER_CHROMIUM": "path of the Chromium that browser tests drive",
}

SECRET_SETTINGS = (
    "ATELIER_DATABASE_URL",
    "ATELIER_REDIS_URL",
    "ATELIER_SECRET_KEY",
    "ATELIER_ADMIN_PASSWORD",
    "ATELIER_SMTP_URL",
)

SECONDS = {  # from, to; apps.jobs.rules reads them
    "ATELIER_LEASE_SECONDS": (2.0, 3600.0),
    "ATELIER_START_SECONDS": (1.0, 86_400.0),
    "ATELIER_CHECKPOINT_SECONDS": (0.2, 3600.0),
    "ATELIER_GRACE_SECONDS": (0.1, 600.0),
    "ATELIER_DRAIN_SECONDS": (0.0, 86_400.0),
}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

DEFAULT_QUEUE = "cpu"

_QUEUE = re.compile(r"[a-z0-9-]{1,40}")
_HOST = re.compile(r"\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\*|\[[0-9A-Fa-f:.]+\]")


def refuse(name: str, why: str) -> ConfigError:
    """The error for one bad setting; the value is never repeated, it may hold a password."""
    return ConfigError(f"{name} {why}")


def whole_number(name: str, text: str, low: int, high: int) -> int:
    """A setting that is a whole number within bounds."""
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise refuse(name, f"is {text!r}, but must be a whole number from {low} to {high}.")
    return int(text)


def home_path(text: str) -> Path:
    """The folder named by ATELIER_HOME, absolute."""
    if "\0" in text:
        raise refuse("ATELIER_HOME", "contains a NUL character: give the path of a folder.")
    path = Path(text).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise refuse("ATELIER_HOME", f"is {path}, which is a file: give the path of a folder.")
    return path


def database_url(text: str) -> str:
    """An external database, as postgresql://…"""
    parts = _split("ATELIER_DATABASE_URL", text)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise refuse("ATELIER_DATABASE_URL", "must begin with postgresql://: no other database is supported.")
    if len(parts.path) < 2 or "/" in parts.path[1:]:
        raise refuse(
            "ATELIER_DATABASE_URL", "names no database: write postgresql://user:password@host/database."
        )
    if not parts.hostname and "host" not in parse_qs(parts.query):
        raise refuse("ATELIER_DATABASE_URL", "names no host: write postgresql://user:password@host/database.")
    return urlunsplit(parts._replace(scheme="postgresql"))


def redis_url(text: str) -> str:
    """An external broker, as redis://…, rediss://… or unix://…"""
    parts = _split("ATELIER_REDIS_URL", text)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise refuse("ATELIER_REDIS_URL", "must begin with redis://, rediss:// or unix://.")
    if parts.scheme == "unix" and not parts.path:
        raise refuse("ATELIER_REDIS_URL", "names no socket: write unix:///path/to/socket.")
    if parts.scheme != "unix" and not parts.hostname:
        raise refuse("ATELIER_REDIS_URL", "names no host: write redis://:password@host:6379/0.")
    return text


def storage_url(text: str) -> str:
    """The object store, as file:///… or s3://bucket/prefix."""
    parts = _split("ATELIER_STORAGE_URL", text)
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise refuse("ATELIER_STORAGE_URL", "must name an absolute folder: write file:///folder.")
    elif parts.scheme == "s3":
        if not parts.netloc:
            raise refuse("ATELIER_STORAGE_URL", "names no bucket: write s3://bucket/prefix.")
    else:
        raise refuse("ATELIER_STORAGE_URL", "must begin with file:// or s3://.")
    return text.rstrip("/")


def secret_key(text: str) -> str:
    """Django's signing key."""
    if len(text) < 32:
        raise refuse("ATELIER_SECRET_KEY", f"has {len(text)} characters, but needs at least 32 random ones.")
    return text


def admin_password(text: str) -> str:
    """The first password of the account `admin`."""
    if len(text) < 10 or "\0" in text:
        raise refuse("ATELIER_ADMIN_PASSWORD", "is too short: give at least 10 characters.")
    return text


def public_url(text: str) -> str:
    """The studio's own address without a path."""
    parts = _split("ATELIER_PUBLIC_URL", text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise refuse("ATELIER_PUBLIC_URL", f"is {text!r}, but must look like https://studio.example.org.")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise refuse("ATELIER_PUBLIC_URL", f"is {text!r}, but must hold no path, query or user name.")
    return f"{parts.scheme}://{parts.netloc}"


def smtp_url(text: str) -> str:
    """The mail server, as smtp://… or smtps://…; ?starttls=always, try or never."""
    name = "ATELIER_SMTP_URL"
    parts = _split(name, text)
    if parts.scheme not in {"smtp", "smtps"}:
        raise refuse(name, "must begin with smtp:// or smtps://.")
    if not parts.hostname or parts.path.strip("/"):
        raise refuse(name, "must name a host and no path: write smtp://user:password@host:587.")
    if bool(parts.username) != bool(parts.password):
        raise refuse(name, "needs a user and a password, or neither: write smtp://user:password@host:587.")
    options = parse_qs(parts.query, keep_blank_values=True)
    if set(options) - {"starttls"} or options.get("starttls", ["try"])[0] not in {"always", "try", "never"}:
        raise refuse(name, "knows one option, ?starttls=always, try or never.")
    if parts.username and options.get("starttls") == ["try"]:
        raise refuse(
            name, "would send the password without encryption: use ?starttls=always or leave it out."
        )
    return text


def email_from(text: str) -> str:
    """The sender of e-mail, with or without a name."""
    address = parseaddr(text)[1]
    if not re.fullmatch(r"[^@\s<>,;:\"]+@[A-Za-z0-9.-]+", address) or re.search(r"[\x00-\x1f]", text):
        raise refuse("ATELIER_EMAIL_FROM", "must be an address such as Atelier <atelier@example.org>.")
    return text


def mail(url: str, sender: str) -> tuple[str, str]:
    """The mail server and the sender, which go together."""
    if not url:
        return "", email_from(sender) if sender else ""
    if not sender:
        raise refuse("ATELIER_EMAIL_FROM", "is missing: with ATELIER_SMTP_URL, name the sender of e-mail.")
    return smtp_url(url), email_from(sender)


def allowed_hosts(text: str) -> tuple[str, ...]:
    """Host names separated by commas."""
    hosts = tuple(host.strip() for host in text.split(",") if host.strip())
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise refuse(
                "ATELIER_ALLOWED_HOSTS", f"holds {host!r}, not a host name (no scheme, port or path)."
            )
    return hosts


def listen_host(text: str) -> str:
    """An address to bind."""
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", text):
        raise refuse("ATELIER_HOST", f"is {text!r}, but must be an address such as 127.0.0.1 or 0.0.0.0.")
    return text


def internal_url(text: str) -> str:
    """The address of web for jobs: like the public one, without a path."""
    parts = _split("ATELIER_INTERNAL_URL", text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise refuse("ATELIER_INTERNAL_URL", f"is {text!r}, but must look like http://web:8000.")
    return text


def check_tuning(env: Mapping[str, str]) -> None:
    """The settings that single parts of the studio read for themselves, so that a bad one stops the start."""
    given = {name: text for name, text in env.items() if text}
    if text := given.get("ATELIER_DATABASE_POOL"):
        whole_number("ATELIER_DATABASE_POOL", text, 0, 1000)
    for name, (low, high) in SECONDS.items():
        if name not in given:
            continue
        try:
            fits = low <= float(given[name]) <= high
        except ValueError:
            fits = False
        if not fits:
            raise refuse(
                name, f"is {given[name]!r}, but must be a number of seconds from {low:g} to {high:g}."
            )
    if given.get("ATELIER_LOG_LEVEL", "INFO").upper() not in LEVELS:
        raise refuse(
            "ATELIER_LOG_LEVEL", f"is {given['ATELIER_LOG_LEVEL']!r}, not one of {', '.join(LEVELS)}."
        )
    if given.get("ATELIER_ISOLATION", "3") not in {"0", "1", "2", "3"}:
        raise refuse("ATELIER_ISOLATION", f"is {given['ATELIER_ISOLATION']!r}, but must be 0, 1, 2 or 3.")
    if text := given.get("ATELIER_ENVIRONMENT_DAYS"):
        whole_number("ATELIER_ENVIRONMENT_DAYS", text, 0, 3650)
    for name in ("ATELIER_DEBUG", "ATELIER_SOURCE_BUILDS"):
        if given.get(name, "0") not in {"0", "1"}:
            raise refuse(name, "is neither 0 nor 1.")
    if text := given.get("ATELIER_INTERNAL_URL"):
        internal_url(text)
    queues(given.get("ATELIER_QUEUES", DEFAULT_QUEUE))
    capacity(given)


def queues(text: str) -> tuple[str, ...]:
    """The queues that a worker serves, each named once."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names or not all(_QUEUE.fullmatch(name) for name in names):
        raise refuse(
            "ATELIER_QUEUES",
            "must hold names of queues, separated by commas, as cpu,gpu: small letters, digits and dashes.",
        )
    return names


def capacity(env: Mapping[str, str]) -> tuple[float | None, int | None, int | None]:
    """What a worker's jobs may use together: processors, bytes of memory, graphics processors; None = unsaid."""
    cpus = _amount("ATELIER_CPUS", env, 0.1, 4096)
    memory = _amount("ATELIER_MEMORY_GB", env, 0.1, 1_000_000)
    text = env.get("ATELIER_GPUS", "")
    gpus = whole_number("ATELIER_GPUS", text, 0, 64) if text else None
    return cpus, None if memory is None else int(memory * 10**9), gpus


def _amount(name: str, env: Mapping[str, str], low: float, high: float) -> float | None:
    text = env.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:  # not a number is not within either
        raise refuse(name, f"is {text!r}, but must be a number from {low:g} to {high:,.0f}.")
    return value


def with_schema(url: str, schema: str) -> str:
    """The same database with `schema` as its search path."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    options = [value for value in query.get("options", []) if "search_path" not in value]
    query["options"] = [" ".join([*options, f"-csearch_path={schema}"])]
    return urlunsplit(parts._replace(query=urlencode(query, doseq=True, quote_via=quote)))


# A machine that vanished sends no farewell: without these, a query to it would wait for a quarter of an hour. Seconds,
# but for the last, milliseconds.
PATIENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
# The same asked of the server: a worker's machine that vanished in the middle of a transaction holds its rows locked
# for as long as the server believes in it, by default for two hours.
PATIENCE_THERE = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


def with_patience(url: str) -> str:
    """The same database, given up when its machine does not answer for half a minute, and which gives us up as soon;
    what the address says about that itself stays."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    if not parts.hostname:
        return url  # a socket of this machine
    missing = {name: [value] for name, value in PATIENCE.items() if name not in query}
    options = query.pop("options", [])
    there = [f"-c{name}={value}" for name, value in PATIENCE_THERE.items() if name not in " ".join(options)]
    missing["options"] = [" ".join([*options, *there])]
    return urlunsplit(parts._replace(query=urlencode({**query, **missing}, doseq=True, quote_via=quote)))


def as_sqlalchemy(url: str) -> str:
    """The same database for SQLAlchemy with psycopg 3."""
    return "postgresql+psycopg" + url[url.index(":") :]


def as_broker(url: str) -> str:
    """A redis-py address in the form that Celery's transport wants for a unix socket."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    number = parse_qs(parts.query).get("db", ["0"])[0]
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return f"redis+socket://{login}{parts.path}?virtual_host={number}"


def _split(name: str, text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises when it is not a number
    except ValueError as error:
        raise refuse(name, f"is not an address ({error}).") from error
    if any(character.isspace() or ord(character) < 32 for character in text):
        raise refuse(name, "contains white space: percent-encode it.")
    return parts
