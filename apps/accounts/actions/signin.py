"""How often somebody may try a password."""

from __future__ import annotations

import datetime

from django.db import connection, transaction

from apps.accounts.models import LoginFailure
from foundation.clock import now
from foundation.errors import TooMany

LOGIN_WINDOW = datetime.timedelta(minutes=15)
LOGIN_LIMIT_NAME = 10
LOGIN_LIMIT_ADDRESS = 100


@transaction.atomic
def begin_login(*, username: str, address: str) -> None:
    """Count an attempt before its password is looked at; clear_login_failures() takes it back.

    Raises TooMany when this name or address has tried too often within a quarter of an hour. Attempts from one
    address wait for one another, so that a hundred at once are counted like a hundred in a row.
    """
    username, address = username[:150], address[:64]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"login {address}"])
    recent = LoginFailure.objects.filter(at__gt=now() - LOGIN_WINDOW, address=address)
    by_name, by_address = recent.filter(username=username).count(), recent.count()
    if by_name >= LOGIN_LIMIT_NAME or by_address >= LOGIN_LIMIT_ADDRESS:
        raise TooMany(
            "login.limited",
            "Too many failed attempts; wait a quarter of an hour and try again.",
            retry_after=int(LOGIN_WINDOW.total_seconds()),
        )
    LoginFailure.objects.create(username=username, address=address)
    LoginFailure.objects.filter(at__lt=now() - 2 * LOGIN_WINDOW).delete()


def clear_login_failures(*, username: str, address: str) -> None:
    """A correct password ends the count for this name and address."""
    LoginFailure.objects.filter(username=username[:150], address=address[:64]).delete()
