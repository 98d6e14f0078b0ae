"""A throw-away studio's home and servers for the test suite: PostgreSQL and Valkey, nothing durable.

`prepare()` is cheap and comes first: it makes the home, the passwords and the records, so that settings can
be read before any server runs. `Cluster.start()` starts the servers on first need.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from runtime import children, postgres, provision, valkey
from runtime.errors import RuntimeFault
from runtime.home import (
    Home,
    make_socket_folder,
    read_json,
    read_text,
    remove_socket_folder,
    write_private,
    write_record,
)
from runtime.processes import QUIET
from runtime.records import service_addresses, write_services
from runtime.service_account import BASE, service_account

HOME_PREFIX = "atelier-test-"
LABEL = "test-"
KEPT_SETTINGS = {"ATELIER_CHROMIUM"}


def prepare() -> Home:
    """Make a temporary home and point this process's environment at it; at exit everything is removed.

    Settings of a real studio in the environment are dropped, so that a test run can never touch it.
    """
    for name in [name for name in os.environ if name.startswith("ATELIER_") and name not in KEPT_SETTINGS]:
        del os.environ[name]
    sweep()
    home = Home(Path(tempfile.mkdtemp(prefix=HOME_PREFIX)))
    home.make()
    write_private(home.path / "owner", "{} {}".format(*children.identity(os.getpid())))
    home.secret_key_kept()
    account = service_account(home, label=LABEL)
    owner = (account.uid, account.gid) if account else None
    database_dir, socket_dir = make_socket_folder(owner), make_socket_folder()
    broker_dir = make_socket_folder(owner)
    write_services(home, service_addresses(home, database_dir=database_dir, broker_dir=broker_dir))
    write_record(
        home.endpoints,
        {
            "generation": f"test-{os.getpid()}",
            "database_dir": str(database_dir),
            "broker_dir": str(broker_dir),
            "socket_dir": str(socket_dir),
        },
    )
    os.environ["ATELIER_HOME"] = str(home.path)
    os.environ["ATELIER_DATABASE_POOL"] = "0"
    atexit.register(_remove_own, home, os.getpid())
    return home


class Cluster:
    """The servers of a prepared home. Start it from the main thread: the servers die with that thread."""

    def __init__(self, home: Home) -> None:
        self.home = home
        known = read_json(home.endpoints)
        self.database_dir, self.broker_dir = Path(known["database_dir"]), Path(known["broker_dir"])
        self._running: list[tuple[subprocess.Popen[bytes], children.Command]] = []
        self._migration: subprocess.Popen[str] | None = None
        self._migrated = False

    def start(self) -> None:
        """Start PostgreSQL with its roles and schemas, and Valkey. Again is nothing."""
        if self._running:
            return
        account = service_account(self.home, label=LABEL)
        passwords = self.home.passwords_kept()
        server = postgres.Postgres(self.home, account, durable=False)
        server.initialise(passwords["superuser"])
        self._spawn(server.command(self.database_dir))
        self._spawn(valkey.command(account, self.broker_dir, passwords["valkey"]))
        admin = self.superuser_url(postgres.SUPERUSER)
        postgres.wait_until_ready(admin, self._running[0][0], data=server.data)
        provision.provision_cluster(admin, database=postgres.DATABASE, passwords=passwords)
        provision.provision_schemas(self.superuser_url())
        valkey.wait_until_ready(valkey.url(self.broker_dir, passwords["valkey"]), self._running[1][0])

    def superuser_url(self, database: str = postgres.DATABASE) -> str:
        """Address of `database` as its superuser."""
        return postgres.url(
            self.database_dir, postgres.SUPERUSER, self.home.passwords_kept()["superuser"], database
        )

    def begin_mlflow(self) -> None:
        """Start MLflow's migrations in a process of their own (about 6 s); `finish_mlflow` waits for them."""
        if self._migration or self._migrated:
            return
        self.start()
        self._migration = subprocess.Popen(
            [sys.executable, "-c", "from adapters.tracking.server import upgrade_here; upgrade_here()"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                **QUIET,
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "ATELIER_MLFLOW_MIGRATE_URL": read_json(self.home.services)["mlflow_database_url"],
            },
        )

    def finish_mlflow(self) -> None:
        """Wait until schema mlflow has all its tables. Raises RuntimeFault when the migration failed."""
        self.begin_mlflow()
        if self._migration is None:
            return
        _, errors = self._migration.communicate()
        if self._migration.returncode:
            raise RuntimeFault(f"MLflow's migrations failed: {errors[-2000:]}")
        self._migration, self._migrated = None, True

    def clear_mlflow(self) -> None:
        """Empty MLflow's tables, but for the revision and the default workspace."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.superuser_url()) as connection:
            tables = connection.execute(
                "select tablename from pg_tables where schemaname = 'mlflow' "
                "and tablename not in ('alembic_version', 'workspaces')"
            ).fetchall()
            names = sql.SQL(", ").join(sql.Identifier("mlflow", name) for (name,) in tables)
            connection.execute(sql.SQL("truncate {} restart identity").format(names))
            connection.execute("delete from mlflow.workspaces where name <> 'default'")

    def stop(self) -> None:
        """End the servers without ceremony: nothing of theirs is kept."""
        if self._migration is not None:
            self._migration.kill()
            self._migration.wait()
            self._migration = None
        while self._running:
            process, command = self._running.pop()
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGQUIT if command.name == "postgres" else signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                children.kill_tree({children.identity(process.pid)})
                process.wait()

    def _spawn(self, command: children.Command) -> None:
        process = children.spawn(command, self.home.logs / f"{command.name}.log")
        self._running.append((process, command))


def sweep() -> None:
    """Remove what test runs left behind that were killed before they could clean up."""
    for path in Path(tempfile.gettempdir()).glob(f"{HOME_PREFIX}*"):
        try:
            if path.is_dir() and path.stat().st_uid == os.geteuid() and _owner_is_gone(path):
                remove(Home(path))
        except FileNotFoundError:
            continue  # another run swept it at the same moment


def _owner_is_gone(path: Path) -> bool:
    pid, _, started = read_text(path / "owner").partition(" ")
    return bool(pid) and not children.is_alive((int(pid), float(started)))


def remove(home: Home) -> None:
    """Delete a temporary home with its socket folders and, for root, its data below /var/lib/atelier."""
    known = read_json(home.endpoints)
    for name in ("database_dir", "broker_dir", "socket_dir"):
        if known.get(name):
            remove_socket_folder(Path(known[name]))
    if os.geteuid() == 0:
        shutil.rmtree(BASE / f"{LABEL}{home.digest}", ignore_errors=True)
    shutil.rmtree(home.path, ignore_errors=True)


def _remove_own(home: Home, pid: int) -> None:
    if os.getpid() == pid:  # not in a forked child that inherits the exit handlers
        remove(home)
