"""The processes of a studio, and how one of them becomes what its name says.

Each is `python manage.py NAME`, started by the keeper or by hand (on another machine, in a container). The
code behind a name belongs to the app that is named here by a string, since the runtime knows no app.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass

from runtime.config import Config, load
from runtime.errors import RuntimeFault
from runtime.home import SOCKET_PATH_LIMIT, Home

QUIET = {  # no connection leaves the machine unless asked
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "KEDRO_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}
LEAN = {
    "MALLOC_ARENA_MAX": "2",  # glibc otherwise keeps a heap per thread
    "PYTHONUTF8": "1",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Service:
    """One kind of process. `grace` is how many seconds it may take to end by itself."""

    name: str
    target: str
    summary: str
    django: bool = True
    grace: float = 10.0


SERVICES = {
    service.name: service
    for service in (
        Service("web", "runtime.web:main", "pages, REST, predictions", django=False),
        Service("worker", "apps.jobs.worker:main", "runs jobs", grace=20.0),
        Service("scheduler", "apps.jobs.scheduler:main", "schedules, outbox, sweeping"),
        Service("tracking", "adapters.tracking.server:main", "MLflow's server", django=False),
        Service("serving", "apps.deployments.serving:main", "keeps deployments as wanted", grace=20.0),
    )
}


def main(arguments: list[str]) -> int:
    """Become the process named by the first argument, until it is told to stop."""
    service = SERVICES[arguments[0]]
    config = _configured(service, arguments[1:])
    os.environ.update({**QUIET, "PYTHONUTF8": "1"})
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "atelier.settings")
    from foundation.errors import AtelierError

    try:
        if service.django:
            import django

            django.setup()
        _function(service.target)(config)
    except AtelierError as error:
        raise RuntimeFault(error.message) from error
    return 0


def _configured(service: Service, arguments: list[str]) -> Config:
    parser = argparse.ArgumentParser(prog=f"manage.py {service.name}", description=service.summary)
    if service.name == "web":
        parser.add_argument("--host", help="address to listen on (ATELIER_HOST)")
        parser.add_argument("--port", help="port to listen on (ATELIER_PORT)")
    if service.name == "worker":
        parser.add_argument(
            "--slots",
            "--workers",
            dest="workers",
            metavar="N",
            help="how many jobs at once (ATELIER_WORKERS)",
        )
        parser.add_argument("--queues", help="queues it serves, as cpu,gpu (ATELIER_QUEUES)")
        parser.add_argument("--cpus", metavar="N", help="processors its jobs may use together (ATELIER_CPUS)")
        parser.add_argument(
            "--memory-gb", metavar="N", help="memory its jobs may use together (ATELIER_MEMORY_GB)"
        )
        parser.add_argument("--gpus", metavar="N", help="graphics processors it offers (ATELIER_GPUS)")
    for name, value in vars(parser.parse_args(arguments)).items():
        if value is not None:
            os.environ[f"ATELIER_{name.upper()}"] = value
    config = load().require_services()
    if config.keeper_pid is None:
        Home(config.home).make()
        config.socket_dir.mkdir(mode=0o700, exist_ok=True)
        if max(len(os.fsencode(path)) for path in config.sockets.values()) > SOCKET_PATH_LIMIT:
            raise RuntimeFault(
                f"The path of the sockets in {config.socket_dir} is longer than {SOCKET_PATH_LIMIT} bytes: "
                "choose a shorter ATELIER_HOME."
            )
    return config


def _function(target: str) -> Callable[[Config], object]:
    module, _, name = target.partition(":")
    found: Callable[[Config], object] = getattr(importlib.import_module(module), name)
    return found
