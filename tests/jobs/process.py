"""`python -m tests.jobs.process worker|scheduler`: a process of the studio that also knows the tests' kinds."""

from __future__ import annotations

import functools
import importlib
import os
import sys


def main(name: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "atelier.settings"
    import django

    django.setup()

    from adapters.executors.local import LocalExecutor
    from runtime.config import load
    from tests.jobs import kinds

    kinds.register()
    module = importlib.import_module(f"apps.jobs.{name}")
    if name == "worker":
        module.LocalExecutor = functools.partial(LocalExecutor, modules=["json"])  # type: ignore[attr-defined]
    module.main(load())


if __name__ == "__main__":
    main(sys.argv[1])
