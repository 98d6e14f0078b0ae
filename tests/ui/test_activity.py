"""Who did what: sentences, repetitions in one line, links to what still exists, mine and everybody's."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from apps.accounts.audit import record_audit
from apps.accounts.models import AuditEvent
from apps.datasets.models import Dataset
from atelier.home.activity import KINDS, PHRASES, lines_of, rows_of
from foundation.clock import now
from tests.support.people import People

pytestmark = pytest.mark.django_db


def dataset(people: People, name: str) -> Dataset:
    made: Dataset = Dataset.objects.create(project=people.project, created_by=people.owner, name=name)
    return made


def act(people: People, who: str, action: str, thing: Any, *, minutes: float = 0, **detail: Any) -> None:
    """An audit row, `minutes` ago."""
    row = record_audit(
        actor=people.actor(who), project=people.project, action=action, subject_kind=action.partition(".")[0],
        subject_id=thing.pk, subject_title=thing.name, detail=detail,
    )  # fmt: skip
    at = now() - datetime.timedelta(minutes=minutes)
    from django.db import connection

    with connection.cursor() as cursor:  # the table is append-only, for everybody but a test
        cursor.execute("alter table accounts_auditevent disable trigger user")
        cursor.execute("update accounts_auditevent set at = %s where id = %s", [at, row.pk])
        cursor.execute("alter table accounts_auditevent enable trigger user")


def told(people: People, who: str = "viewer", **options: Any) -> list[str]:
    """The lines as text, without the making of the project."""
    rows = rows_of(people.project, **options).exclude(action="project.create").order_by("-at", "-pk")
    return [
        f"{'You' if line.mine else line.who} {line.before} {', '.join(thing.title for thing in line.things)}"
        + (f" and {line.more} more" if line.more else "")
        + (f" {line.after}" if line.after else "")
        + (f" ({line.note})" if line.note else "")
        for line in lines_of(people.project, rows, people.actor(who))
    ]


def test_each_line_says_who_did_what(people: People) -> None:
    thing = dataset(people, "churn")
    act(people, "owner", "dataset.create", thing, minutes=30)
    act(people, "contributor", "dataset.add_version", thing, minutes=20, version=2)
    act(people, "contributor", "dataset.trash", thing, minutes=10)
    assert told(people, "contributor") == [
        "You moved dataset churn to the trash",
        "You added a version to dataset churn (version 2)",
        "owner uploaded dataset churn",
    ]
    assert told(people, "owner", mine=people.actor("owner")) == ["You uploaded dataset churn"]


def test_repetitions_within_an_hour_are_one_line(people: People) -> None:
    for number in range(5):
        act(people, "owner", "dataset.create", dataset(people, f"d{number}"), minutes=100 - number)
    act(people, "owner", "dataset.create", dataset(people, "later"), minutes=5)
    act(people, "contributor", "dataset.create", dataset(people, "another"), minutes=4)
    assert told(people) == [
        "contributor uploaded dataset another",
        "owner uploaded dataset later",
        "owner uploaded datasets d4, d3, d2 and 2 more",
    ]


def test_the_same_thing_twice_is_named_once(people: People) -> None:
    thing = dataset(people, "churn")
    for minutes in (3, 2, 1):
        act(people, "owner", "dataset.update", thing, minutes=minutes)
    assert told(people) == ["owner changed dataset churn"]


def test_what_is_gone_has_no_link(people: People) -> None:
    here, gone = dataset(people, "here"), dataset(people, "gone")
    for thing in (here, gone):
        act(people, "owner", "dataset.create", thing)
    Dataset.objects.filter(pk=gone.pk).update(deleted_at=now())
    page = people.client("viewer").get("/p/shop/activity").content.decode()
    assert 'href="/p/shop/datasets/here/"' in page
    assert 'href="/p/shop/datasets/gone/"' not in page
    assert "gone" in page


def test_other_projects_and_tokens_are_no_activity(people: People) -> None:
    record_audit(
        actor=people.actor("owner"), project=people.project, action="token.create", subject_kind="token"
    )
    thing = dataset(people, "churn")
    act(people, "owner", "dataset.create", thing)
    assert len(told(people)) == 1
    assert not rows_of(people.other_project).filter(subject_kind="dataset").exists()
    assert people.client("stranger").get("/p/shop/activity").status_code == 404


def test_every_phrase_is_about_a_kind_and_every_kind_exists() -> None:
    from django.apps import apps

    assert {action.partition(".")[0] for action in PHRASES} <= set(KINDS)
    for label, *_ in KINDS.values():
        apps.get_model(label)


def test_the_page_is_cut_and_has_both_filters(people: People) -> None:
    things = [dataset(people, f"d{number}") for number in range(3)]
    AuditEvent.objects.bulk_create(
        AuditEvent(
            project=people.project, user=people.owner, actor_label="owner", action=f"dataset.{verb}",
            subject_kind="dataset", subject_id=str(things[n % 3].pk), subject_title=things[n % 3].name,
        )
        for n in range(60) for verb in ("update", "purge")
    )  # fmt: skip
    client = people.client("viewer")
    page = client.get("/p/shop/activity").content.decode()
    assert "cursor=" in page
    assert "You have not changed anything here" in client.get("/p/shop/activity?who=me").content.decode()
