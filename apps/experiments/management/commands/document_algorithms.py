"""`manage.py document_algorithms`: renew the parameter tables of docs/experiments.md."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.experiments.documenting import renewed


class Command(BaseCommand):
    help = "Renews the parameter tables of docs/experiments.md from the algorithms' schemas."

    def handle(self, *args: Any, **options: Any) -> None:
        """Rewrite the page in place."""
        page = settings.BASE_DIR / "docs" / "experiments.md"
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
        self.stdout.write(f"{page} is up to date.")
