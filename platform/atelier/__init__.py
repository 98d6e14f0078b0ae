"""Composition root: the only package that knows every app (settings, URLs, ASGI, Celery, health, home pages)."""
