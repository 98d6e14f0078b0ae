"""Runs the whole loop on real data against the running studio and prints what it made, with links."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.access import SYSTEM
from apps.accounts.actions import create_token
from apps.accounts.models import ApiToken, User
from atelier.tour.client import TourError
from atelier.tour.run import run_tour
from foundation.clock import now
from foundation.errors import AtelierError


class Command(BaseCommand):
    help = "Run the whole loop on real data against the running studio; running it again completes what is missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", help="address of the studio (default: the one of this home)")
        parser.add_argument("--user", default="admin", help="whose account does it (default: admin)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active account '{options['user']}'.")
        url = options["url"] or f"http://{settings.CONFIG.local_host}:{settings.CONFIG.port}"
        self.stdout.write(f"The tour of {url}:")
        try:
            token, secret = create_token(actor=SYSTEM, user=user, name="tour", days=1)
            try:
                seconds = run_tour(url=url, token=secret, write=self._write)
            finally:
                ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=now())
        except (TourError, AtelierError) as error:
            raise CommandError(f"The tour stopped. {error}") from error
        self._write(f"The tour is complete after {seconds:.0f} s.")

    def _write(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
