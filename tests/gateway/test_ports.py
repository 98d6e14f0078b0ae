"""The gateway's look-ups in the database."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError

from atelier.ports import in_thread
from foundation.errors import Unavailable


def test_a_database_that_does_not_answer_is_a_503_with_a_time_to_come_back() -> None:
    def look_up() -> None:
        raise OperationalError("terminating connection due to unexpected postmaster exit")

    with pytest.raises(Unavailable) as caught:
        async_to_sync(in_thread(look_up))()
    assert caught.value.code == "database.unavailable"
    assert caught.value.retry_after
    assert "postmaster" not in caught.value.message
