"""`manage.py prepare`: bring the databases to this release, and make the account `admin`. Repeatable.

`up` runs it when something changed since the last start; with external services it is run once before the
processes (docker-compose does). An existing studio is saved to HOME/backups before anything is migrated.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from runtime import postgres, settings_table
from runtime.config import ROOT, Config, load
from runtime.errors import RuntimeFault
from runtime.home import LAYOUT_VERSION, Home, read_json, read_text, write_private, write_record
from runtime.processes import QUIET
from runtime.provision import provision_external

KEPT_BACKUPS = 5


def main(arguments: list[str]) -> int:
    """Prepare the services that the environment or the home names, with a line for each step."""
    config = load().require_services()
    home = Home(config.home)
    home.make()
    os.environ.update(QUIET)
    if not config.embedded_database:
        _step("schemas", lambda: provision_external(config.database_url))
    if read_text(home.version) and not is_prepared(home, config):
        _step("backup of the database", lambda: back_up(home, config))
    failures: list[BaseException] = []
    mlflow = threading.Thread(target=_keeping, args=(failures, lambda: _migrate_mlflow(config)))
    mlflow.start()
    try:
        _step("Django's tables", _migrate_django)
        _step("the account admin", lambda: _make_admin(home))
        if os.environ.get("ATELIER_SECRET_KEY") or read_text(home.secret_key):
            _step("the object store", lambda: _mark_storage(config))
    finally:
        mlflow.join()
    if failures:
        raise RuntimeFault(str(failures[0])) from failures[0]
    write_private(home.version, f"{LAYOUT_VERSION}\n")
    write_record(home.run / "prepared.json", {"digest": fingerprint(config)})
    return 0


def is_prepared(home: Home, config: Config) -> bool:
    """Whether nothing that `prepare` looks at has changed since it last ran to its end."""
    return read_json(home.run / "prepared.json").get("digest") == fingerprint(config)


def check_layout(home: Home) -> None:
    """Raise RuntimeFault when the home was made by a newer release."""
    text = read_text(home.version)
    if text and (not text.isdigit() or int(text) > LAYOUT_VERSION):
        raise RuntimeFault(
            f"The home {home.path} has data version {text}, but this release knows {LAYOUT_VERSION}: "
            "start the release that made it, or choose another ATELIER_HOME."
        )


def fingerprint(config: Config) -> str:
    """Digest of the lock, every migration, which database is meant (without its password) and which store."""
    total = hashlib.sha256()
    total.update((ROOT / "requirements.txt").read_bytes())
    for path in sorted([*ROOT.glob("apps/*/migrations/*.py"), *ROOT.glob("platform/*/migrations/*.py")]):
        total.update(str(path.relative_to(ROOT)).encode())
        total.update(path.read_bytes())
    total.update(b"embedded" if config.embedded_database else config.database_url.rpartition("@")[2].encode())
    total.update(config.storage_url.encode())
    return total.hexdigest()


def back_up(home: Home, config: Config) -> Path | None:
    """Dump the whole database into HOME/backups (custom format); the oldest beyond five are removed.

    Returns None, and says so, when the database is external and this machine has no pg_dump.
    """
    address = config.database_url
    if config.embedded_database:
        folder = Path(str(read_json(home.endpoints)["database_dir"]))
        address = postgres.url(folder, postgres.SUPERUSER, home.passwords_kept()["superuser"])
    return save(home, address, embedded=config.embedded_database)


def save(
    home: Home,
    address: str,
    *,
    embedded: bool,
    name: str = "before-migrating",
    doing: str = "migrating",
    keep: Path | None = None,
) -> Path | None:
    """Dump the database at `address` into HOME/backups/NAME-….dump, as back_up() does. Nothing is overwritten;
    of the older dumps of that name the last few stay, and `keep`, which somebody is about to read."""
    program = _pg_dump(embedded)
    if program is None:
        print(
            f"  No pg_dump is installed here: the external database was NOT saved before {doing}.",
            flush=True,
        )
        return None
    target = _new_file(home.backups / f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.dump")
    login, bare = without_password(address)
    done = subprocess.run(
        [program, "--format=custom", f"--file={target}", f"--dbname={bare}"],
        env={**os.environ, "PGPASSWORD": login},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        target.unlink(missing_ok=True)
        raise RuntimeFault(f"The database cannot be saved before {doing}: {done.stderr.strip()[-400:]}")
    for old in sorted(home.backups.glob(f"{name}-*.dump"))[:-KEPT_BACKUPS]:
        if keep is None or not old.samefile(keep):
            old.unlink()
    return target


def _new_file(path: Path) -> Path:
    """The path, or one beside it where two dumps are made in one second."""
    number = 2
    found = path
    while found.exists():
        found = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return found


def _pg_dump(embedded: bool) -> str | None:
    try:
        return str(postgres.programs(None) / "pg_dump")
    except RuntimeFault:
        if embedded:
            raise
        return shutil.which("pg_dump")


def without_password(address: str) -> tuple[str, str]:
    """The password of an address, and the address without it: command lines are seen by everybody."""
    from urllib.parse import unquote, urlsplit, urlunsplit

    parts = urlsplit(address)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    netloc = f"{user}@{parts.netloc.rpartition('@')[2]}"
    return unquote(password), urlunsplit(parts._replace(netloc=netloc))


def _migrate_mlflow(config: Config) -> None:
    begun = time.monotonic()
    server = importlib.import_module("adapters.tracking.server")
    if server.migrate(config):
        _say("MLflow's tables", begun)


def _migrate_django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "atelier.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)


def _mark_storage(config: Config) -> None:
    """By this mark, workers on other machines see that they were given the right store."""
    from foundation.errors import AtelierError

    try:
        store = importlib.import_module("adapters.storage").open_store(config.storage_url, home=config.home)
        importlib.import_module("adapters.storage.mark").leave_mark(store, config.secret_key)
    except AtelierError as error:
        raise RuntimeFault(error.message) from error


def _make_admin(home: Home) -> None:
    from django.core.management import CommandError, call_command

    given = os.environ.get("ATELIER_ADMIN_PASSWORD", "")
    password = settings_table.admin_password(given) if given else secrets.token_urlsafe(12)
    answer = io.StringIO()
    stdin, sys.stdin = sys.stdin, io.StringIO(f"{password}\n")
    try:
        call_command("ensure_admin", stdin=True, stdout=answer)
    except CommandError as error:
        raise RuntimeFault(f"ATELIER_ADMIN_PASSWORD is refused. {error}") from error
    finally:
        sys.stdin = stdin
    if answer.getvalue().strip() == "created" and not given:
        write_private(home.admin_password, f"{password}\n")
        print(f"  The account is `admin`, its password: {password}", flush=True)
        print(f"  (shown this once, and kept in {home.admin_password})", flush=True)


def _step(what: str, action: Callable[[], object]) -> None:
    begun = time.monotonic()
    action()
    _say(what, begun)


def _keeping(failures: list[BaseException], action: Callable[[], object]) -> None:
    try:
        action()
    except Exception as error:  # told by the main thread, which waits for this one
        failures.append(error)


def _say(what: str, begun: float) -> None:
    print(f"  {what:<28} {time.monotonic() - begun:5.1f} s", flush=True)
