"""Wires the gateway: its parts, the ports over the apps, and Django behind them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application

from adapters.storage.staging import StagingArea
from atelier.ports import make_ports
from gateway.app import Gateway
from gateway.capture import Spool
from gateway.mlflow import MlflowProxy
from gateway.predictions import Predictions
from gateway.upload_routes import UploadSettings
from gateway.uploads import UploadStage


def make_gateway() -> Gateway:
    """The front application of the web process."""
    config: Any = settings.CONFIG
    ports = make_ports()
    django: Any = get_asgi_application()
    return Gateway(
        django=django,
        mlflow=MlflowProxy(ports, config.sockets.get("tracking", "")),
        predictions=Predictions(
            authenticate=ports.authenticate,
            resolve_project=ports.resolve_project,
            route_deployment=ports.route_deployment,
            record=Spool(config.home / "spool" / "inferences"),
            session_cookie=settings.SESSION_COOKIE_NAME,
        ),
        uploads=UploadStage(
            django, ports, StagingArea(), UploadSettings(session_cookie=settings.SESSION_COOKIE_NAME)
        ),
    )
