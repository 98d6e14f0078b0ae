"""Prints a new API token, and nothing else, on standard output."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.access import SYSTEM, Actor, get_visible_project
from apps.accounts.actions import create_token
from apps.accounts.models import User
from apps.accounts.states import Scope
from foundation.errors import AtelierError


class Command(BaseCommand):
    help = "Print a new API token for a user. The secret is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--project", metavar="SLUG", help="bind the token to one project")
        parser.add_argument("--scope", choices=Scope.values, default=Scope.WRITE.value)
        parser.add_argument("--days", type=int, help="days until it expires (default: never)")
        parser.add_argument("--name", default="command line", help="what it is for")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active account '{options['username']}'.")
        try:
            slug = options["project"]
            project = get_visible_project(Actor(user=user), slug) if slug else None
            _, secret = create_token(
                actor=SYSTEM,
                user=user,
                name=options["name"],
                scope=options["scope"],
                project=project,
                days=options["days"],
            )
        except AtelierError as error:
            raise CommandError(error.message) from error
        self.stdout.write(secret)
