"""`manage.py doctor`: what is installed, reachable, misconfigured, and how to mend it.

Runs with the standard library alone, so that it can also say what is wrong when there is no environment yet.
Each check returns findings and never raises; the exit status is 1 when anything is bad.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runtime import bootstrap, services_check
from runtime.config import Config, load
from runtime.errors import RuntimeFault
from runtime.home import SOCKET_PATH_LIMIT, Home
from runtime.machine_check import chromium, git, isolation, landlock, libgomp
from runtime.settings_table import SETTINGS

GIGABYTE = 1024**3
INTERNAL = ("ATELIER_GENERATION", "ATELIER_WEB_LISTENER")


@dataclass(frozen=True)
class Finding:
    """One line of the report: level is "ok", "note" (works without it) or "bad"."""

    level: str
    what: str
    mend: str = ""


Check = Callable[[Config], Iterator[Finding]]


def main(arguments: list[str]) -> int:
    """Print every finding; 1 when one is bad."""
    findings = list(examine())
    for finding in findings:
        print(f"{finding.level:<5}{finding.what}")
        if finding.mend:
            print(f"     → {finding.mend}")
    bad = sum(finding.level == "bad" for finding in findings)
    print(f"\n{bad} thing{'s' if bad != 1 else ''} to mend." if bad else "\nNothing to mend.")
    return 1 if bad else 0


def examine() -> Iterator[Finding]:
    """All findings, in the order in which a person would mend them."""
    yield from _python()
    yield from _environment()
    try:
        config = load()
    except RuntimeFault as fault:
        yield Finding("bad", "the settings", str(fault))
        return
    for check in CHECKS:
        try:
            yield from check(config)
        except Exception as error:  # a doctor must finish its round
            name = check.__name__.strip("_")
            yield Finding("bad", f"the check of {name} failed: {type(error).__name__}: {error}")


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    try:
        bootstrap.check_machine()
        yield Finding("ok", f"Python {version} on {sys.platform} {platform.machine()}")
    except RuntimeFault as fault:
        yield Finding("bad", f"Python {version}", str(fault))


def _environment() -> Iterator[Finding]:
    wrong = list(bootstrap.deviations(bootstrap.RUN))
    count = sum(1 for _ in bootstrap.pins(bootstrap.RUN))
    if not wrong:
        yield Finding("ok", f"all {count} packages have the locked versions ({sys.prefix})")
    elif len(wrong) > count // 2:
        yield Finding("bad", "the environment is not made yet", "run: python3 manage.py up")
    else:
        yield Finding(
            "bad",
            f"{len(wrong)} of {count} packages differ from the lock: {', '.join(wrong[:5])}",
            f"delete {bootstrap.STAMP} and run: python3 manage.py up",
        )


def _settings(config: Config) -> Iterator[Finding]:
    unknown = [
        name
        for name in os.environ
        if name.startswith("ATELIER_") and name not in SETTINGS and name not in INTERNAL
    ]
    for name in sorted(unknown):
        yield Finding("note", f"{name} is set, but is no setting", "see the table in docs/operations.md")
    if config.host not in {"127.0.0.1", "::1", "localhost"} and not config.public_url.startswith("https://"):
        yield Finding(
            "note",
            f"the studio listens on {config.host} without encryption",
            "put a TLS proxy in front and name its address in ATELIER_PUBLIC_URL",
        )


def _home(config: Config) -> Iterator[Finding]:
    home = Home(config.home)
    if not home.path.exists():
        yield Finding("note", f"the home {home.path} does not exist yet", "run: python3 manage.py up")
        return
    if not os.access(home.path, os.W_OK):
        yield Finding("bad", f"the home {home.path} cannot be written", "run as the user who owns it")
    for path in (home.secrets, *sorted(home.secrets.glob("*")), home.admin_password):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding("bad", f"{path} can be read by others", f"run: chmod go-rwx {path}")
    free = shutil.disk_usage(home.path).free
    if free < GIGABYTE:
        yield Finding("bad", f"only {free / GIGABYTE:.1f} GB are free below {home.path}", "free some space")
    elif free < 5 * GIGABYTE:
        yield Finding("note", f"{free / GIGABYTE:.1f} GB are free below {home.path}", "free some space soon")
    else:
        yield Finding("ok", f"home {home.path}, {free / GIGABYTE:.0f} GB free")


def _sockets(config: Config) -> Iterator[Finding]:
    if not config.running:
        return
    for name, path in config.sockets.items():
        if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
            yield Finding("bad", f"the path of socket {name} is too long", "choose a shorter ATELIER_HOME")
    folder = config.socket_dir
    if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield Finding("bad", f"the socket folder {folder} is open to others", f"run: chmod 700 {folder}")


def _services(config: Config) -> Iterator[Finding]:
    if not config.running:
        yield Finding("note", "no studio runs on this home", "run: python3 manage.py up")
        return
    for level, what, mend in services_check.examine(config):
        yield Finding(level, what, mend)


def _mail(config: Config) -> Iterator[Finding]:
    level, what, mend = services_check.mail(config)
    yield Finding(level, what, mend)


def _machine(config: Config) -> Iterator[Finding]:
    for level, what, mend in (libgomp(), git(), landlock(), isolation(), chromium()):
        yield Finding(level, what, mend)


CHECKS: tuple[Check, ...] = (_settings, _home, _sockets, _services, _mail, _machine)
