"""One log format for every process: time, level, logger, request id where there is one."""

from __future__ import annotations

import os
from typing import Any


def logging_config() -> dict[str, Any]:
    """Django's LOGGING: everything to standard error, which the keeper keeps in HOME/logs."""
    level = os.environ.get("ATELIER_LOG_LEVEL", "INFO").upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            name: {"level": level}
            for name in ("atelier", "apps", "gateway", "adapters", "runtime", "foundation", "django.request")
        },
    }
