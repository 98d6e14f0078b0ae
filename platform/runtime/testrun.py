"""`manage.py test [pytest arguments]`: the suite with its own temporary databases."""

from __future__ import annotations

import os
import sys

from runtime.bootstrap import ROOT

#: The whole suite uses the processors (a process more gains little and makes faults and browsers wait for each other).
#: Named files run in one process, where a debugger and -s work.
SPREAD = ["--numprocesses", str(max(1, min(4, os.cpu_count() or 1)))]
SPREAD += ["--dist", "loadscope", "--no-loadscope-reorder"]  # groups and their order: tests/support/spread.py


def main(arguments: list[str]) -> int:
    """Replace this process by pytest in the repository's folder; paths may be given from anywhere."""
    given = [_rooted(argument) for argument in arguments[1:]]
    if not any(os.path.exists(argument.partition("::")[0]) for argument in given):
        given = [*SPREAD, *given]
    os.chdir(ROOT)
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "pytest", *given], environment)  # noqa: S606


def _rooted(argument: str) -> str:
    """A path that exists here becomes absolute, because pytest runs in the repository's folder."""
    path, separator, name = argument.partition("::")
    return os.path.abspath(path) + separator + name if os.path.exists(path) else argument
