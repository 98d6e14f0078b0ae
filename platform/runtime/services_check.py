"""Whether the services of a running studio answer and fit together: (level, what, how to mend it)."""

from __future__ import annotations

import http.client
import importlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime

from runtime import prepare, valkey
from runtime.config import Config
from runtime.home import Home
from runtime.provision import first_line

Answer = tuple[str, str, str]
CLOCK_TOLERANCE = 2.0  # seconds


def examine(config: Config) -> Iterator[Answer]:
    """Database with clock and revisions, broker, and the components as the web process sees them."""
    yield from database(config)
    yield broker(config)
    yield from components(config)


def database(config: Config) -> Iterator[Answer]:
    """Reachable? Same time? Same revisions?"""
    import psycopg

    try:
        with psycopg.connect(config.database_url, connect_timeout=5) as connection:
            row = connection.execute("select clock_timestamp(), current_setting('server_version')").fetchone()
    except psycopg.OperationalError as error:
        yield (
            "bad",
            f"the database cannot be reached: {first_line(error)}",
            "is the studio running? See logs/",
        )
        return
    assert row is not None
    yield "ok", f"database: PostgreSQL {row[1]}{' (embedded)' if config.embedded_database else ''}", ""
    drift = abs((datetime.now(UTC) - row[0]).total_seconds())
    if drift > CLOCK_TOLERANCE:
        yield (
            "bad",
            f"this machine's clock differs from the database's by {drift:.0f} s",
            "synchronise both by NTP",
        )
    else:
        yield "ok", "the clocks agree", ""
    if prepare.is_prepared(Home(config.home), config):
        yield "ok", "the tables have this release's revision", ""
    else:
        yield (
            "note",
            "a migration or the lock changed since the last start",
            "restart the studio: up migrates",
        )
    tracking = importlib.import_module("adapters.tracking.server")
    found = tracking.current_revision(config.mlflow_database_url)
    if found != tracking.REVISION:
        yield "bad", f"MLflow's tables have revision {found}, not {tracking.REVISION}", "restart the studio"


def broker(config: Config) -> Answer:
    """Whether the broker answers."""
    if config.embedded_redis:
        if valkey.is_ready(config.redis_url):
            return "ok", "broker: Valkey (embedded)", ""
        return "bad", "the embedded Valkey does not answer", "see logs/valkey.log"
    import redis

    client = redis.Redis.from_url(config.redis_url, socket_timeout=5, socket_connect_timeout=5)
    try:
        client.ping()
    except redis.RedisError as error:
        return "bad", f"the broker cannot be reached: {first_line(error)}", "check ATELIER_REDIS_URL"
    finally:
        client.close()
    return "ok", "broker: external", ""


def mail(config: Config) -> Answer:
    """Whether the mail server takes us; nothing is sent."""
    if not config.smtp_url:
        return (
            "note",
            "e-mail is not set up",
            "name a server in ATELIER_SMTP_URL, a sender in ATELIER_EMAIL_FROM",
        )
    smtp = importlib.import_module("adapters.mail.smtp")
    try:
        answered = smtp.SmtpPost(config.smtp_url, config.email_from, timeout=10).check()
    except Exception as error:
        return "bad", first_line(error), "check ATELIER_SMTP_URL"
    return "ok", f"mail server: answers, {answered}", ""


def components(config: Config) -> Iterator[Answer]:
    """What /readyz says."""
    connection = http.client.HTTPConnection(config.local_host, config.port, timeout=10)
    try:
        connection.request("GET", "/readyz", headers={"Host": f"localhost:{config.port}"})
        states = json.loads(connection.getresponse().read())["components"]
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        yield "bad", f"nothing answers on port {config.port} ({error})", "see logs/web.log"
        return
    finally:
        connection.close()
    for name, state in states.items():
        if state == "ready":
            yield "ok", f"{name}: ready", ""
        else:
            yield "bad", f"{name}: {state}", f"see logs/{name}.log"
