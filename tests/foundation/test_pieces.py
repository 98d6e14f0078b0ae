"""Ids, names, states, events, partitions."""

from __future__ import annotations

import dataclasses
import datetime
import threading

import pytest
from django.db import connection, transaction

from apps.accounts.models import Team
from foundation import events
from foundation.errors import Invalid, TooMany
from foundation.ids import run_id, uuid7
from foundation.names import check_name, check_slug, check_text
from foundation.partitions import ensure_months
from foundation.states import Transitions


def test_ids_are_ordered_and_unique_across_threads() -> None:
    found: list[list[object]] = []

    def work() -> None:
        found.append([uuid7() for _ in range(2000)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(ids == sorted(ids) for ids in found)  # type: ignore[type-var]
    assert len({i for ids in found for i in ids}) == 8000
    assert uuid7().version == 7
    assert len(run_id()) == 32


@pytest.mark.parametrize("name", ["a", "A.b-c_9", "9", "x" * 63])
def test_it_takes_a_good_name(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\x00", ".a", "-a", "ä", "x" * 64, "a b", None, 5, "a\n"])
def test_it_refuses_a_bad_name(name: object) -> None:
    with pytest.raises(Invalid) as caught:
        check_name(name)
    assert caught.value.status == 422


def test_slugs_keep_words_for_the_studio() -> None:
    assert check_slug("bank-churn-2") == "bank-churn-2"
    with pytest.raises(Invalid, match="keeps for itself"):
        check_slug("admin")


def test_text_has_no_nul_and_a_limit() -> None:
    assert check_text(None, field="comment") == ""
    with pytest.raises(Invalid):
        check_text("a\x00b", field="comment")
    with pytest.raises(Invalid):
        check_text("x" * 5001, field="comment")


def test_an_error_carries_its_code_sentence_and_reference() -> None:
    error = TooMany("rate.limited", "Slow down.", {"a": 1}, retry_after=7)
    assert error.as_dict("abc") == {
        "error": {"code": "rate.limited", "message": "Slow down.", "detail": {"a": 1}, "request_id": "abc"}
    }
    assert str(error) == "Slow down."


@pytest.mark.django_db
def test_a_move_is_a_compare_and_set() -> None:
    table = Transitions({"new": {"old"}, "old": {"gone"}})
    team = Team.objects.create(slug="states", name="new")
    row = Team.objects.filter(pk=team.pk)
    assert table.move(row, to="old", field="name")
    assert not table.move(row, to="old", field="name"), "somebody else was quicker"
    with pytest.raises(ValueError):
        table.move(row, to="gone", frm="new", field="name")
    with pytest.raises(ValueError):
        table.move(row, to="new", field="name")
    assert table.allows("old", "gone")
    assert not table.allows("gone", "old")


@dataclasses.dataclass(frozen=True)
class Rung:
    """An event of this test."""

    number: int


@pytest.mark.django_db(transaction=True)
def test_news_travels_on_commit_only_and_a_deaf_listener_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[int] = []

    @events.subscribe(Rung)
    def deaf(event: Rung) -> None:
        raise RuntimeError("deaf")

    @events.subscribe(Rung)
    def listener(event: Rung) -> None:
        heard.append(event.number)

    with transaction.atomic():
        events.publish(Rung(1))
        assert heard == []
    assert heard == [1]
    with transaction.atomic():
        events.publish(Rung(2))
        transaction.set_rollback(True)
    assert heard == [1]
    assert "deaf" in caplog.text


@pytest.mark.django_db
def test_months_are_made_once() -> None:
    day = datetime.date(2031, 12, 15)
    made = ensure_months(today=day, ahead=1)
    assert "accounts_auditevent_y2031m12" in made
    assert "accounts_auditevent_y2032m01" in made
    assert ensure_months(today=day, ahead=1) == []
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from accounts_auditevent_y2031m12")
        assert cursor.fetchone()[0] == 0
