"""`manage.py up`: everything a studio needs, in the right order, with a line for each step.

The web process comes first, so that a person sees a page while the slow ones (MLflow imports for seconds)
are still starting. The last line is exactly `Atelier is ready at URL`, printed once /readyz says 200.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import http.client
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import socket
from urllib.parse import unquote, urlsplit

from runtime import postgres, prepare, provision, records, recovery, valkey, web
from runtime.children import Command
from runtime.config import ROOT, Config, load
from runtime.errors import ConfigError, RuntimeFault
from runtime.home import (
    Home,
    make_socket_folder,
    read_json,
    remove_socket_folder,
    write_private,
    write_record,
)
from runtime.keeper import Keeper, StopRequested
from runtime.processes import LEAN, QUIET, SERVICES
from runtime.service_account import service_account
from runtime.settings_table import SECRET_SETTINGS, admin_password

RECORDED = (  # children read these from endpoints.json and HOME/secrets, not from their environment
    *SECRET_SETTINGS,
    *(
        f"ATELIER_{name}"
        for name in ("HOST", "PORT", "WORKERS", "PUBLIC_URL", "ALLOWED_HOSTS", "STORAGE_URL")
    ),
)
STOP_ORDER = (("web", "serving", "worker", "scheduler"), ("tracking",), ("valkey",), ("postgres",))
FIRST_PAGE_LIMIT = 20.0  # seconds until the others are started although web does not answer yet


def main(arguments: list[str]) -> int:
    """Run a studio until Ctrl-C or SIGTERM. Returns the exit status."""
    options = _options(arguments[1:])
    for name in ("home", "host", "port", "workers"):
        value = getattr(options, name)
        if value is not None:
            os.environ[f"ATELIER_{name.upper()}"] = value
    if os.environ.get("ATELIER_ADMIN_PASSWORD"):
        admin_password(os.environ["ATELIER_ADMIN_PASSWORD"])
    config = load(join=False)
    home = Home(config.home)
    home.make()
    check_store(config.storage_url)
    with only_keeper(home):
        prepare.check_layout(home)
        studio = Studio(config, home)
        try:
            studio.start()
            if options.tour:
                studio.tour()
            studio.watch()
        except StopRequested:
            return 0
        finally:
            studio.stop()
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="manage.py up", description="Run a studio until Ctrl-C.")
    parser.add_argument(
        "--home", metavar="DIR", help="where everything is kept (ATELIER_HOME, default ./var)"
    )
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (default 8000)")
    parser.add_argument("--workers", metavar="SLOTS", help="how many jobs run at once (default 2)")
    parser.add_argument("--tour", action="store_true", help="run the tour on real data once it is ready")
    return parser.parse_args(arguments)


def check_store(storage_url: str) -> None:
    """A folder as object store is made and can be written, or ConfigError is raised."""
    parts = urlsplit(storage_url)
    if parts.scheme != "file":
        return
    folder = Path(unquote(parts.path))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"ATELIER_STORAGE_URL names {folder}, which cannot be written ({error.strerror}): "
            "name a folder that belongs to you."
        ) from error


@contextlib.contextmanager
def only_keeper(home: Home) -> Iterator[None]:
    """Hold the home for this process. Raises RuntimeFault when a studio runs on it."""
    handle = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
            raise RuntimeFault(
                f"A studio already runs on the home {home.path} (keeper process {pid}): "
                "stop it first, or choose another home with --home."
            ) from error
        os.truncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


@dataclass
class Studio:
    """The start and the stop of one studio; the keeper watches in between."""

    config: Config
    home: Home
    keeper: Keeper = field(init=False)
    listener: socket | None = None
    folders: list[Path] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.keeper = Keeper(self.home, secrets.token_hex(8), say)
        self.keeper.listen_to_signals()

    def start(self) -> None:
        """From nothing to the ready line. Raises RuntimeFault with a sentence, or StopRequested."""
        self.listener = web.bind(self.config.host, self.config.port)
        left = recovery.end_orphans(self.home)
        if left:
            say(f"The last keeper of this home was killed; {left} of its processes were ended.")
        say(f"Starting on the home {self.home.path}")
        if os.environ.get("ATELIER_SECRET_KEY"):
            write_private(self.home.secret_key, self.config.secret_key)
        self.home.secret_key_kept()
        fresh = self._start_servers()
        known = load(self._environment())
        if fresh or not known.embedded_database or not prepare.is_prepared(self.home, known):
            self._prepare()
        self._start_service("web")
        if self._wait_for_page():
            self._step("first page", self.begun)
        for name in ("tracking", "worker", "scheduler", "serving"):
            self._start_service(name)
        self._wait_until_ready()

    def _start_servers(self) -> bool:
        """PostgreSQL and Valkey, unless external; writes the records. True when the cluster is new."""
        database_url, redis_url = os.environ.get("ATELIER_DATABASE_URL"), os.environ.get("ATELIER_REDIS_URL")
        account = None if database_url and redis_url else service_account(self.home)
        owner = (account.uid, account.gid) if account else None
        database_dir = None if database_url else self._folder(owner)
        broker_dir = None if redis_url else self._folder(owner)
        socket_dir = self._folder(None)
        addresses = records.service_addresses(
            self.home,
            database_dir=database_dir,
            broker_dir=broker_dir,
            database_url=self.config.database_url,
            redis_url=self.config.redis_url,
        )
        mail = {"smtp_url": self.config.smtp_url, "email_from": self.config.email_from}
        records.write_services(self.home, {**addresses, **mail})
        write_record(
            self.home.endpoints,
            {
                "generation": self.keeper.generation,
                "keeper_pid": os.getpid(),
                "host": self.config.host,
                "port": str(self.config.port),
                "slots": str(self.config.slots),
                "public_url": self.config.public_url,
                "allowed_hosts": ",".join(self.config.allowed_hosts),
                "storage_url": self.config.storage_url,
                "embedded_database": database_dir is not None,
                "embedded_redis": broker_dir is not None,
                "database_dir": str(database_dir or ""),
                "broker_dir": str(broker_dir or ""),
                "socket_dir": str(socket_dir),
            },
        )
        passwords = self.home.passwords_kept()
        begun = time.monotonic()
        broker = None
        if broker_dir is not None:
            broker = self.keeper.start(valkey.command(account, broker_dir, passwords["valkey"]))
        fresh = False
        if database_dir is not None:
            server = postgres.Postgres(self.home, account)
            fresh = server.initialise(passwords["superuser"])
            server.clear_stale_lock()
            process = self.keeper.start(server.command(database_dir))
            admin = postgres.url(database_dir, postgres.SUPERUSER, passwords["superuser"], "postgres")
            postgres.wait_until_ready(admin, process, data=server.data)
            provision.provision_cluster(admin, database=postgres.DATABASE, passwords=passwords)
            provision.provision_schemas(
                postgres.url(database_dir, postgres.SUPERUSER, passwords["superuser"])
            )
            self._step("PostgreSQL", begun)
        if broker is not None and broker_dir is not None:
            valkey.wait_until_ready(valkey.url(broker_dir, passwords["valkey"]), broker)
            self._step("Valkey", begun)
        return fresh

    def _folder(self, owner: tuple[int, int] | None) -> Path:
        folder = make_socket_folder(owner)
        self.folders.append(folder)
        return folder

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in RECORDED}
        return {
            **kept,
            **QUIET,
            **LEAN,
            "ATELIER_HOME": str(self.home.path),
            recovery.GENERATION: self.keeper.generation,
        }

    def _command(self, *arguments: str, grace: float = 10.0) -> Command:
        return Command(
            name=arguments[0],
            argv=(sys.executable, str(ROOT / "manage.py"), *arguments),
            env=self._environment(),
            cwd=ROOT,
            grace=grace,
        )

    def _prepare(self) -> None:
        command = self._command("prepare", grace=5.0)
        given = {
            name: os.environ[name]
            for name in ("ATELIER_ADMIN_PASSWORD", "ATELIER_DATABASE_URL")
            if name in os.environ
        }
        self.keeper.run_once(replace(command, env={**command.env, **given}))

    def _start_service(self, name: str) -> None:
        command = self._command(name, grace=SERVICES[name].grace)
        if name != "web" or self.listener is None:
            self.keeper.start(command)
            return
        number = self.listener.fileno()
        env = {**command.env, web.LISTENER: str(number)}
        self.keeper.start(replace(command, env=env), pass_fds=(number,))

    def _wait_for_page(self) -> bool:
        deadline = time.monotonic() + FIRST_PAGE_LIMIT
        while time.monotonic() < deadline:
            self.keeper.pause(0.05)
            self.keeper.look()
            if self._get("/healthz")[0] == 200:
                return True
        return False

    def _wait_until_ready(self) -> None:
        done: set[str] = set()
        told = time.monotonic()
        while True:
            self.keeper.pause(0.25)
            self.keeper.look()
            status, states = self._get("/readyz")
            for name in sorted(name for name, state in states.items() if state == "ready"):
                if name not in done:
                    done.add(name)
                    if name not in {"database", "broker"}:
                        self._step(name, self.begun)
            if status == 200:
                break
            if time.monotonic() - told > 60:
                told = time.monotonic()
                waiting = ", ".join(f"{name}: {state}" for name, state in states.items() if state != "ready")
                say(f"Still waiting for {waiting or 'the web process'} (logs in {self.home.logs}) …")
        self.keeper.was_ready = True
        say(f"Atelier is ready at {_address(self.config)}")

    def _get(self, path: str) -> tuple[int, dict[str, str]]:
        """(status, component states) from the web process; status 0 when it does not answer."""
        connection = http.client.HTTPConnection(self.config.local_host, self.config.port, timeout=3)
        try:
            connection.request("GET", path, headers={"Host": f"localhost:{self.config.port}"})
            answer = connection.getresponse()
            body = answer.read()
            states = json.loads(body).get("components", {}) if path == "/readyz" else {}
            return answer.status, states
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()

    def tour(self) -> None:
        """Run the tour beside the studio, its output on ours."""
        try:
            self.keeper.run_once(self._command("tour"), watching=True)
        except RuntimeFault as fault:
            say(str(fault))

    def watch(self) -> None:
        """Watch until somebody stops the studio."""
        while True:
            self.keeper.pause(0.2)
            self.keeper.look()

    def stop(self) -> None:
        """End everything in order and remove what only lives while the studio runs."""
        if self.keeper.watched:
            say("Stopping …")
        self.keeper.stop_all(STOP_ORDER)
        if self.listener is not None:
            self.listener.close()
        if read_json(self.home.endpoints).get("generation") == self.keeper.generation:
            self.home.endpoints.unlink(missing_ok=True)
            self.home.processes.unlink(missing_ok=True)
        for folder in self.folders:
            remove_socket_folder(folder)
        if self.keeper.watched:
            say("Stopped.")

    def _step(self, what: str, begun: float) -> None:
        say(f"  {what:<28} {time.monotonic() - begun:5.1f} s")


def _address(config: Config) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{host}:{config.port}"


def say(message: str) -> None:
    """One line for the person at the terminal. When the terminal is gone the studio is still to be stopped."""
    try:
        print(message, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for the rest of this process)
