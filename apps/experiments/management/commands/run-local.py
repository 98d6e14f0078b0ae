"""`manage.py run-local train.py --input train=file.csv --param epochs=3`: a script under the training contract, from
the terminal, without the queue and without a running studio."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.experiments.scripts import local
from apps.experiments.scripts.page import typed
from foundation.errors import AtelierError


class Command(BaseCommand):
    """Ends with the script's own exit code."""

    help = "Run a script, an archive or a folder of code under the training contract, without the queue."
    requires_system_checks: list[str] = []  # type: ignore[assignment]

    def add_arguments(self, parser: CommandParser) -> None:
        """As a run of the studio would be described."""
        parser.add_argument("code", type=Path, help="a .py file, a .zip or .tar.gz, or a folder")
        parser.add_argument("--entry-point", default="", help="the file to run in an archive or a folder")
        parser.add_argument(
            "--input",
            action="append",
            default=[],
            metavar="CHANNEL=PATH",
            help="a file or folder as a channel",
        )
        parser.add_argument(
            "--param", action="append", default=[], metavar="NAME=VALUE", help="a hyperparameter"
        )
        parser.add_argument(
            "--variable", action="append", default=[], metavar="NAME=VALUE", help="an environment variable"
        )
        parser.add_argument("--environment", type=Path, metavar="FILE", help="a requirements file")
        parser.add_argument("--resume", type=Path, metavar="FOLDER", help="checkpoints of an earlier run")
        parser.add_argument("--timeout", type=int, metavar="SECONDS", help="stop it after so long")
        parser.add_argument(
            "--output", type=Path, metavar="FOLDER", help="where its files go (default: local-run-N, here)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it, say how it ended and where its files are."""
        began = time.monotonic()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing is left behind
        try:
            inputs = local.pairs(options["input"], "input")
            ended = local.run_local(
                local.LocalRun(
                    code=options["code"],
                    output=(options["output"] or local.free_folder(Path.cwd())).absolute(),
                    entry_point=options["entry_point"],
                    inputs={name: Path(path) for name, path in inputs.items()},
                    parameters={n: typed(v) for n, v in local.pairs(options["param"], "param").items()},
                    variables=local.pairs(options["variable"], "variable"),
                    environment=options["environment"],
                    resume=options["resume"],
                    timeout=options["timeout"],
                ),
                sys.stdout,
            )
        except AtelierError as error:
            local.print_error(error)
            sys.exit(local.REFUSED)
        for line in local.summary(ended, began):
            print(line)
        sys.exit(ended.code)
