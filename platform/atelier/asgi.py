"""The ASGI application of the web process: the gateway in front, Django behind it."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "atelier.settings")
django.setup()

from atelier.front import make_gateway  # noqa: E402  (after Django is set up)

application = make_gateway()
