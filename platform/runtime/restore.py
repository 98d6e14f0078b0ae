"""`manage.py restore FILE`: goes back to a dump of the database, on a studio that does not run.

The schemas are dropped and filled anew rather than cleaned by pg_restore, which cannot take apart the tables that
are kept by months. The dump is read to its end first, so a damaged one changes nothing, and what is replaced is
itself saved before.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime import children, postgres, prepare, provision, recovery
from runtime.config import Config, load
from runtime.errors import RuntimeFault
from runtime.home import Home, make_socket_folder, remove_socket_folder
from runtime.service_account import service_account
from runtime.up import only_keeper


def main(arguments: list[str]) -> int:
    """Restore. Raises RuntimeFault with a sentence when that cannot be done; the database is then as it was."""
    parser = argparse.ArgumentParser(
        prog="manage.py restore", description="Go back to a dump of the database."
    )
    parser.add_argument("file", type=Path, help="a dump in pg_dump's custom format, as in HOME/backups")
    parser.add_argument("--home", metavar="DIR", help="the studio's home (ATELIER_HOME, default ./var)")
    options = parser.parse_args(arguments[1:])
    if options.home:
        os.environ["ATELIER_HOME"] = options.home
    file: Path = options.file
    if not file.is_file():
        raise RuntimeFault(f"There is no file {file}.")
    config = load(join=False)
    home = Home(config.home)
    home.make()
    with only_keeper(home):
        recovery.end_orphans(home)
        _check(file)
        with _address(home, config) as address:
            go_back(home, file, address)
    print(f"The database is as it was in {file.name}. Start the studio with `manage.py up`.")
    return 0


def _check(file: Path) -> None:
    done = subprocess.run(
        [_program("pg_restore"), "--file=/dev/null", str(file)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeFault(f"{file} cannot be read to its end: {_first(done.stderr)}")


def _first(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else "it says nothing"


def _program(name: str) -> str:
    return str(postgres.programs(None) / name)


@contextmanager
def _address(home: Home, config: Config) -> Iterator[str]:
    """Where the database is: an external one, or the embedded server, alone for the time of the block."""
    if config.database_url:
        yield config.database_url
        return
    account = service_account(home)
    server = postgres.Postgres(home, account)
    if not (server.data / "PG_VERSION").exists():
        raise RuntimeFault(f"The home {home.path} has no database yet: run `manage.py up` once.")
    folder = make_socket_folder((account.uid, account.gid) if account else None)
    server.clear_stale_lock()
    command = server.command(folder)
    process = children.spawn(command, home.logs / "postgres.log")
    try:
        secret = home.passwords_kept()["superuser"]
        address = postgres.url(folder, postgres.SUPERUSER, secret)
        postgres.wait_until_ready(address, process, data=server.data, timeout=300)
        yield address
    finally:
        children.stop(process, command)
        remove_socket_folder(folder)


def go_back(home: Home, file: Path, address: str) -> None:
    """Put what `file` holds in the place of the studio's schemas in the running database at `address`."""
    import psycopg

    embedded = not os.environ.get("ATELIER_DATABASE_URL")
    kept = prepare.save(
        home, address, embedded=embedded, name="before-restoring", doing="restoring", keep=file
    )
    (home.run / "prepared.json").unlink(missing_ok=True)  # the dump may be of an older release: `up` migrates
    login, bare = prepare.without_password(address)
    with psycopg.connect(address, autocommit=True) as connection:
        for schema in provision.SCHEMAS:
            connection.execute(f"drop schema if exists {schema} cascade")
    done = subprocess.run(
        [_program("pg_restore"), "--exit-on-error", "--single-transaction", f"--dbname={bare}", str(file)],
        env={**os.environ, "PGPASSWORD": login},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        saved = f"what it replaced is in {kept}" if kept else "nothing was saved before"
        raise RuntimeFault(f"The dump could not be restored ({_first(done.stderr)}); {saved}.")
