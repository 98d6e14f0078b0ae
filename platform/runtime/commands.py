"""Which code answers `python3 manage.py COMMAND`. Standard library only until the environment exists."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime import bootstrap
from runtime.errors import RuntimeFault


@dataclass(frozen=True)
class Entry:
    """A command of the runtime: its code, what it does, and what it needs installed."""

    target: str
    summary: str
    needs: str = bootstrap.RUN
    django: bool = False


COMMANDS = {
    "up": Entry("runtime.up:main", "set everything up and run the studio until Ctrl-C"),
    "doctor": Entry(
        "runtime.doctor:main", "what is installed, reachable, misconfigured, and how to mend it", ""
    ),
    "test": Entry("runtime.testrun:main", "run the test suite with databases of its own", bootstrap.TEST),
    "bench": Entry("runtime.bench:main", "run a benchmark against its peer", bootstrap.TEST),
    "prepare": Entry("runtime.prepare:main", "make and migrate external services once, before the processes"),
    "restore": Entry("runtime.restore:main", "go back to a dump of the database, as in HOME/backups"),
    "web": Entry("runtime.processes:main", "serve pages, REST and predictions"),
    "worker": Entry("runtime.processes:main", "run jobs"),
    "scheduler": Entry("runtime.processes:main", "due schedules, outbox, sweeping"),
    "tracking": Entry("runtime.processes:main", "MLflow's server on a private socket"),
    "serving": Entry("runtime.processes:main", "keep deployments as wanted"),
}


def run(arguments: Sequence[str]) -> int:
    """Run one command; what is not ours goes to Django. Returns the exit status."""
    name = arguments[0] if arguments else ""
    if not name or (name in {"-h", "--help", "help"} and len(arguments) == 1):
        print(overview())
        return 0
    entry = COMMANDS.get(name)
    try:
        bootstrap.ensure(entry.needs if entry else bootstrap.RUN)
        if entry is None:
            return _django(arguments)
        return _function(entry.target)(list(arguments))
    except RuntimeFault as fault:
        print(f"Atelier: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def overview() -> str:
    """The list of commands."""
    width = max(map(len, COMMANDS)) + 2
    lines = ["Usage: python3 manage.py COMMAND [options]", ""]
    lines += [f"  {name:<{width}}{entry.summary}" for name, entry in COMMANDS.items()]
    lines += [
        f"  {'tour':<{width}}run the whole loop on real data against the running studio",
        f"  {'run-local':<{width}}run a script under the training contract, without the queue",
        f"  {'token USER':<{width}}print a new API token",
        "",
        "Every other command is Django's (migrate, shell, check …). Settings: docs/operations.md.",
    ]
    return "\n".join(lines)


def _function(target: str) -> Callable[[list[str]], int]:
    module, _, function = target.partition(":")
    found: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
    return found


def _django(arguments: Sequence[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "atelier.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    from runtime.config import load

    try:
        execute_from_command_line(["manage.py", *arguments])
    except OperationalError as error:
        config = load().require_services()  # says so when no studio runs
        reason = str(error).strip().splitlines()[0]
        raise RuntimeFault(f"The database of the home {config.home} cannot be reached: {reason}") from error
    return 0
