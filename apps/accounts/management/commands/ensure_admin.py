"""Makes the account `admin` and its first team, once. Used by `up`; harmless when repeated."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from apps.accounts.access import SYSTEM, Actor
from apps.accounts.actions import create_team, create_user
from apps.accounts.models import Membership, User
from foundation.errors import AtelierError


class Command(BaseCommand):
    help = "Create the account admin with a password from ATELIER_ADMIN_PASSWORD or standard input, if it is missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--stdin", action="store_true", help="read the password from standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints `created` or `exists`."""
        if User.objects.filter(username="admin").exists():
            self.stdout.write("exists")
            return
        password = os.environ.get("ATELIER_ADMIN_PASSWORD", "")
        if options["stdin"]:
            password = sys.stdin.readline().rstrip("\n")
        if not password:
            raise CommandError("Give the password in ATELIER_ADMIN_PASSWORD, or with --stdin.")
        try:
            with transaction.atomic():
                admin = create_user(actor=SYSTEM, username="admin", password=password, is_superuser=True)
                if not Membership.objects.filter(user=admin).exists():
                    create_team(actor=Actor(user=admin), slug="studio", name="Studio")
        except AtelierError as error:
            raise CommandError(f"The account admin cannot be made: {error.message}") from error
        self.stdout.write("created")
