"""Times as MLflow's tables hold them."""

from __future__ import annotations

import datetime

import pytest

from adapters.tracking.sql.rows import moment


def test_milliseconds_become_a_time_of_day() -> None:
    assert moment(1_617_235_200_500) == datetime.datetime(2021, 4, 1, 0, 0, 0, 500_000, datetime.UTC)
    assert moment(0) == datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize("value", [None, 9 * 10**18, -(10**17), 10**15, -(10**14)])
def test_a_number_that_is_no_time_is_none(value: int | None) -> None:
    """Clients may send any 64-bit number; one run of that kind must not break a page that lists it."""
    assert moment(value) is None
