"""PostgreSQL and Valkey of the fault suite: the runtime's own, durable as in a real studio, to be killed at will."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from runtime import children, postgres, provision, testing, valkey
from runtime.home import Home, make_socket_folder, write_private, write_record
from runtime.records import service_addresses, write_services
from runtime.service_account import service_account


class Servers:
    """A home with its two servers. Use it from the main thread: the servers die with the thread that started them.

    The home is named and marked as the suite's other throw-away homes are, so that a later run removes what a
    killed one has left.
    """

    def __init__(self) -> None:
        self.home = Home(Path(tempfile.mkdtemp(prefix=testing.HOME_PREFIX)))
        self.home.make()
        write_private(self.home.path / "owner", "{} {}".format(*children.identity(os.getpid())))
        self.home.secret_key_kept()
        self.account = service_account(self.home, label=testing.LABEL)
        owner = (self.account.uid, self.account.gid) if self.account else None
        self.database_dir, self.broker_dir = make_socket_folder(owner), make_socket_folder(owner)
        self.socket_dir = make_socket_folder()
        self.passwords = self.home.passwords_kept()
        write_services(
            self.home,
            service_addresses(self.home, database_dir=self.database_dir, broker_dir=self.broker_dir),
        )
        write_record(
            self.home.endpoints,
            {
                "generation": f"faults-{os.getpid()}",
                "database_dir": str(self.database_dir),
                "broker_dir": str(self.broker_dir),
                "socket_dir": str(self.socket_dir),
            },
        )
        self.server = postgres.Postgres(self.home, self.account, durable=True)
        self.database: subprocess.Popen[bytes] | None = None
        self.broker: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Start both for the first time, with roles and schemas."""
        self.server.initialise(self.passwords["superuser"])
        self.start_database()
        admin = self.superuser(postgres.SUPERUSER)
        provision.provision_cluster(admin, database=postgres.DATABASE, passwords=self.passwords)
        provision.provision_schemas(self.superuser())
        self.start_broker()

    def superuser(self, database: str = postgres.DATABASE) -> str:
        """Address of `database` as its superuser."""
        return postgres.url(self.database_dir, postgres.SUPERUSER, self.passwords["superuser"], database)

    @property
    def broker_url(self) -> str:
        """Valkey's address."""
        return valkey.url(self.broker_dir, self.passwords["valkey"])

    def start_database(self) -> None:
        """Start PostgreSQL, and wait until it has recovered whatever there was."""
        if self.database is not None and self.database.poll() is None:
            return
        self.server.clear_stale_lock()
        command = self.server.command(self.database_dir)
        self.database = children.spawn(command, self.home.logs / "postgres.log")
        postgres.wait_until_ready(
            self.superuser(postgres.SUPERUSER), self.database, data=self.server.data, timeout=120
        )

    def kill_database(self) -> None:
        """SIGKILL to every process of the server at once, as when the machine loses it."""
        assert self.database is not None
        children.kill_tree({children.identity(self.database.pid)})
        self.database.wait()

    def start_broker(self) -> None:
        """Start Valkey, empty."""
        if self.broker is not None and self.broker.poll() is None:
            return
        command = valkey.command(self.account, self.broker_dir, self.passwords["valkey"])
        self.broker = children.spawn(command, self.home.logs / "valkey.log")
        valkey.wait_until_ready(self.broker_url, self.broker, timeout=60)

    def kill_broker(self) -> None:
        """SIGKILL to Valkey; what it held is gone."""
        assert self.broker is not None
        self.broker.kill()
        self.broker.wait()

    def flush_broker(self) -> None:
        """FLUSHALL: the server stays, every message is gone."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(str(self.broker_dir / valkey.SOCKET))
            connection.sendall(f"AUTH {self.passwords['valkey']}\r\nFLUSHALL\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                answer += connection.recv(256)
        assert answer.endswith(b"+OK\r\n"), answer

    def stop(self) -> None:
        """End both and remove the home with everything below it."""
        for process, number in ((self.database, signal.SIGQUIT), (self.broker, signal.SIGTERM)):
            if process is None or process.poll() is not None:
                continue
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                children.kill_tree({children.identity(process.pid)})
                process.wait()
        testing.remove(self.home)
        shutil.rmtree(self.home.path, ignore_errors=True)


class Question:
    """A session of the checker's own, one for each thread; begun anew when the server has lost it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._own = threading.local()

    def __call__(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one statement."""
        import psycopg

        known = getattr(self._own, "session", None)
        if known is not None and not known.closed:
            try:
                return self._ask(known, text, values)
            except psycopg.OperationalError:
                known.close()
        self._own.session = psycopg.connect(self.address, connect_timeout=10, autocommit=True)
        return self._ask(self._own.session, text, values)

    @staticmethod
    def _ask(session: Any, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        cursor = session.execute(text, values, prepare=False)
        return cursor.fetchall() if cursor.description else []
