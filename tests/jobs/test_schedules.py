"""Schedules: firing exactly once, rights, and their API and pages."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import pytest
from django import forms
from django.db import OperationalError, connection

from apps.accounts.access import Actor
from apps.jobs.schedules import actions, firing, registry
from apps.jobs.schedules.models import Schedule, ScheduleFiring
from apps.jobs.schedules.registry import Firing, Started, Subject
from foundation import clock
from foundation.errors import AtelierError, Conflict, Forbidden, Invalid, NotFound
from foundation.ids import uuid7
from tests.support.people import People, fake_tracking, people

__all__ = ["fake_tracking", "people"]
UTC = datetime.UTC


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(UTC)


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, moment: datetime.datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime.datetime:
        return self.moment


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Ten seconds to twelve on an ordinary Monday."""
    stopped = Clock(at("2026-11-23T11:59:50+00:00"))
    monkeypatch.setattr(clock, "now", stopped)
    return stopped


class Bells:
    """A kind of schedule for tests: it rings, and counts in rows, so that what is undone is uncounted."""

    def __init__(self) -> None:
        self.rung: list[Firing] = []
        self.error: Exception | None = None

    def find(self, project: Any, name: str) -> Subject:
        if name == "none":
            raise NotFound("bell.not_found", "There is no such bell.")
        return Subject(name, name, f"/bells/{name}")

    def subjects(self, keys: Any) -> dict[str, Subject]:
        return {key: Subject(key, key, f"/bells/{key}") for key in keys if key != "trashed"}

    def check(self, actor: Any, project: Any, key: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if "loud" in parameters and parameters["loud"] not in (1, 2, 3):
            raise Invalid("schedule.parameters", "loud is 1, 2 or 3.", {"field": "loud"})
        return parameters

    def fields(self, key: str) -> dict[str, forms.Field]:
        return {"loud": forms.IntegerField(label="Loud", required=False)}

    def fire(self, found: Firing) -> Started:
        self.rung.append(found)
        if self.error is not None:
            raise self.error
        return Started("Ding", "/bells/ding")


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> Bells:
    found = Bells()
    monkeypatch.setattr(
        registry, "_kinds", {**registry._kinds, "tests.bell": registry.Kind("tests.bell", "bell", found)}
    )
    return found


def make(people: People, cron: str = "0 * * * *", **options: Any) -> Schedule:
    kind = registry.kind_called("tests.bell")
    assert kind is not None
    values = {"subject": "big", "timezone": "Europe/Berlin", **options}
    actor = people.actor(values.pop("who", "contributor"))
    return actions.create_schedule(actor=actor, project=people.project, kind=kind, cron=cron, **values)


# ---- firing ------------------------------------------------------------------------------------------------


def test_it_fires_when_it_is_due_and_not_before(people: People, bells: Bells, frozen: Clock) -> None:
    schedule = make(people, parameters={"loud": 2})
    assert firing.fire_due() == 0
    frozen.moment = at("2026-11-23T12:00:00+00:00")
    assert firing.fire_due() == 1
    assert firing.fire_due() == 0
    [rung] = bells.rung
    assert (rung.due, rung.previous, rung.parameters) == (at("2026-11-23T12:00:00+00:00"), None, {"loud": 2})
    assert rung.actor.user == people.contributor
    frozen.moment = at("2026-11-23T13:00:01+00:00")
    firing.fire_due()
    assert bells.rung[1].previous == at("2026-11-23T12:00:00+00:00")
    schedule.refresh_from_db()
    assert schedule.next_due == at("2026-11-23T14:00:00+00:00")
    assert [(row.state, row.title) for row in schedule.firings.all()] == [("fired", "Ding")] * 2


def test_missed_times_are_made_up_for_once(people: People, bells: Bells, frozen: Clock) -> None:
    make(people)
    make(people, catch_up=False)
    frozen.moment = at("2026-11-25T09:30:00+00:00")
    assert firing.fire_due() == 2
    assert [rung.due for rung in bells.rung] == [at("2026-11-25T09:00:00+00:00")]
    assert sorted(ScheduleFiring.objects.values_list("state", "late")) == [("fired", True), ("skipped", True)]
    assert set(Schedule.objects.values_list("next_due", flat=True)) == {at("2026-11-25T10:00:00+00:00")}


@pytest.mark.parametrize(
    ("error", "enabled"),
    [
        (Conflict("bell.cold", "The bell is frozen."), True),
        (RuntimeError("a bug"), True),
        (NotFound("bell.gone", "The bell is in the trash."), False),
        (Forbidden("role.too_small", "This needs more."), False),
    ],
)
def test_what_went_wrong_is_kept(
    people: People, bells: Bells, frozen: Clock, error: Exception, enabled: bool
) -> None:
    schedule = make(people)
    bells.error = error
    frozen.moment = at("2026-11-23T12:00:00+00:00")
    firing.fire_due()
    schedule.refresh_from_db()
    row = schedule.firings.get()
    assert row.state == "failed"
    expected = error.message if isinstance(error, AtelierError) else "on our side"
    assert expected in row.reason
    assert schedule.enabled is enabled
    assert schedule.reason == ("" if enabled else row.reason)
    assert (schedule.next_due is not None) is enabled


def test_a_firing_that_dies_in_the_middle_leaves_nothing_and_comes_again(
    people: People, bells: Bells, frozen: Clock
) -> None:
    schedule = make(people)
    frozen.moment = at("2026-11-23T12:00:00+00:00")
    bells.error = OperationalError("the server closed the connection")
    with pytest.raises(OperationalError):
        firing.fire_due()
    assert not ScheduleFiring.objects.exists()
    schedule.refresh_from_db()
    assert schedule.next_due == frozen.moment
    bells.error = None
    assert firing.fire_due() == 1
    assert schedule.firings.get().state == "fired"


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_fire_once(people: People, bells: Bells, frozen: Clock) -> None:
    for _ in range(3):
        make(people)
    frozen.moment = at("2026-11-23T12:00:00+00:00")
    inside, go_on = threading.Event(), threading.Event()
    ring = bells.fire

    def slowly(found: Firing) -> Started:
        inside.set()
        go_on.wait(10)
        return ring(found)

    bells.fire = slowly  # type: ignore[method-assign]
    counts: list[int] = []

    def schedule_all() -> None:
        try:
            counts.append(firing.fire_due())
        finally:
            connection.close()

    threads = [threading.Thread(target=schedule_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert inside.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert sum(counts) == 3
    assert len(bells.rung) == 3
    assert ScheduleFiring.objects.count() == 3


def test_a_clock_that_is_behind_does_not_fire_twice(people: People, bells: Bells, frozen: Clock) -> None:
    schedule = make(people)
    due = frozen.moment = at("2026-11-23T12:00:00+00:00")
    firing.fire_due()
    Schedule.objects.update(next_due=due)
    assert firing.fire_due() == 1
    assert len(bells.rung) == 1
    assert schedule.firings.count() == 1


def test_it_stops_itself_when_its_person_has_gone(people: People, bells: Bells, frozen: Clock) -> None:
    gone, closed = make(people), make(people, who="maintainer")
    people.team.memberships.filter(user=people.contributor).delete()
    type(people.maintainer).objects.filter(pk=people.maintainer.pk).update(is_active=False)
    frozen.moment = at("2026-11-23T12:00:00+00:00")
    firing.fire_due()
    assert bells.rung == []
    gone.refresh_from_db()
    closed.refresh_from_db()
    assert "contributor, who may no longer change anything" in gone.reason
    assert "maintainer, whose account is closed" in closed.reason
    assert not gone.enabled
    assert not closed.enabled
    # Somebody who may switches it on again: from then on it acts as that person.
    changed = actions.update_schedule(actor=people.actor("owner"), schedule=gone, changes={"enabled": True})
    assert (changed.acts_as, changed.reason) == (people.owner, "")
    frozen.moment = at("2026-11-23T13:00:00+00:00")
    firing.fire_due()
    assert [rung.actor.user for rung in bells.rung] == [people.owner]


def test_a_job_cannot_set_schedules(people: People, bells: Bells) -> None:
    schedule = make(people)
    actor = Actor(user=people.maintainer, project_id=people.project.pk, job_id=uuid7(), fence=1)
    kind = registry.kind_called("tests.bell")
    assert kind is not None
    with pytest.raises(Forbidden, match="outlive"):
        actions.create_schedule(
            actor=actor, project=people.project, kind=kind, subject="big", cron="0 * * * *"
        )
    with pytest.raises(Forbidden, match="outlive"):
        actions.update_schedule(actor=actor, schedule=schedule, changes={"cron": "* * * * *"})


def test_a_project_in_the_trash_fires_nothing(people: People, bells: Bells, frozen: Clock) -> None:
    make(people)
    type(people.project).objects.filter(pk=people.project.pk).update(deleted_at=frozen.moment)
    frozen.moment = at("2026-11-23T12:00:00+00:00")
    assert firing.fire_due() == 0


def test_what_passed_while_it_was_off_is_not_made_up_for(people: People, bells: Bells, frozen: Clock) -> None:
    schedule = make(people)
    off = actions.update_schedule(
        actor=people.actor("contributor"), schedule=schedule, changes={"enabled": False}
    )
    assert off.next_due is None
    frozen.moment = at("2026-11-23T15:30:00+00:00")
    on = actions.update_schedule(
        actor=people.actor("contributor"), schedule=schedule, changes={"enabled": True}
    )
    assert on.next_due == at("2026-11-23T16:00:00+00:00")


def test_old_firings_are_forgotten(people: People, bells: Bells, frozen: Clock) -> None:
    make(people)
    frozen.moment = at("2026-11-23T12:00:00+00:00")
    firing.fire_due()
    assert firing.forget_old() == 0
    frozen.moment += firing.KEPT + datetime.timedelta(days=1)
    assert firing.forget_old() == 1


# ---- REST --------------------------------------------------------------------------------------------------


def url(people: People, path: str = "") -> str:
    return f"/api/v1/projects/{people.project.slug}/schedules{path}"


def test_a_schedule_by_rest_from_end_to_end(people: People, bells: Bells, frozen: Clock) -> None:
    api = people.api("contributor")
    made = api.post(
        url(people), {"bell": "big", "cron": "0 6 * * *", "timezone": "Asia/Tokyo"}, format="json"
    )
    assert made.status_code == 201, made.content
    body = made.json()
    assert body["subject"] == {"kind": "bell", "name": "big", "url": "/bells/big"}
    assert body["next_times"][0] == "2026-11-24T06:00:00+09:00"
    assert len(body["next_times"]) == 5
    assert (body["acts_as"], body["enabled"], body["last_state"]) == ("contributor", True, None)
    one = url(people, f"/{body['id']}")
    assert [row["id"] for row in api.get(url(people) + "?bell=big").json()["results"]] == [body["id"]]
    assert api.get(url(people) + "?bell=small").json()["results"] == []

    off = api.patch(one, {"enabled": False}, format="json", headers={"If-Match": made["ETag"]})
    assert off.status_code == 200, off.content
    assert (off.json()["next_due"], off.json()["next_times"]) == (None, [])
    stale = api.patch(one, {"enabled": True}, format="json", headers={"If-Match": made["ETag"]})
    assert stale.status_code == 409

    api.patch(one, {"enabled": True, "cron": "0 * * * *"}, format="json")
    frozen.moment = at("2026-11-23T12:00:00+00:00")
    firing.fire_due()
    [row] = api.get(one + "/firings").json()["results"]
    assert (row["state"], row["title"], row["url"]) == ("fired", "Ding", "/bells/ding")
    assert api.get(one).json()["last_state"] == "fired"

    assert api.delete(one).status_code == 204
    assert api.get(one).json()["error"]["code"] == "schedule.not_found"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"cron": "0 * * * *"}, "schedule.subject"),
        ({"bell": "big", "monitor": "watch", "cron": "0 * * * *"}, "schedule.subject"),
        ({"bell": 7, "cron": "0 * * * *"}, "schedule.subject"),
        ({"bell": "none", "cron": "0 * * * *"}, "bell.not_found"),
        ({"bell": "big"}, "request.missing_field"),
        ({"bell": "big", "cron": "0 0 30 2 *"}, "schedule.never"),
        ({"bell": "big", "cron": ["*"]}, "schedule.cron"),
        ({"bell": "big", "cron": "0 * * * *", "timezone": "Mars/Base"}, "timezone.unknown"),
        ({"bell": "big", "cron": "0 * * * *", "timezone": ["UTC"]}, "timezone.unknown"),
        ({"bell": "big", "cron": "0 * * * *", "enabled": "yes"}, "schedule.invalid"),
        ({"bell": "big", "cron": "0 * * * *", "parameters": [1]}, "schedule.parameters"),
        ({"bell": "big", "cron": "0 * * * *", "parameters": {"loud": 9}}, "schedule.parameters"),
        ({"bell": "big", "cron": "0 * * * *", "parameters": {"a": "x" * 30_000}}, "schedule.parameters"),
        ({"bell": "big", "cron": "0 * * * *", "often": "day"}, "request.unknown_field"),
    ],
)
def test_bad_input_makes_nothing(people: People, bells: Bells, body: dict[str, Any], code: str) -> None:
    answer = people.api("contributor").post(url(people), body, format="json")
    assert answer.json()["error"]["code"] == code, answer.content
    assert answer.status_code in (404, 422)
    assert not Schedule.objects.exists()


def test_the_next_times_of_an_expression(people: People, frozen: Clock) -> None:
    api = people.api("viewer")
    body = api.get(url(people, "/preview") + "?cron=0 6 * * 1&timezone=Europe/Berlin").json()
    assert body["next_times"][0] == {"utc": "2026-11-30T05:00:00.000Z", "local": "2026-11-30T06:00:00+01:00"}
    assert len(body["next_times"]) == 5
    assert api.get(url(people, "/preview") + "?cron=0 6").json()["error"]["code"] == "schedule.cron"


def test_a_project_has_only_so_many(people: People, bells: Bells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MAXIMUM_SCHEDULES", 1)
    make(people)
    with pytest.raises(Conflict) as error:
        make(people)
    assert error.value.code == "schedule.too_many"


# ---- pages -------------------------------------------------------------------------------------------------


def test_a_schedule_by_mouse_from_end_to_end(people: People, bells: Bells, frozen: Clock) -> None:
    client = people.client("contributor")
    base = f"/p/{people.project.slug}/schedules/"
    assert "No schedules yet" in client.get(base).content.decode()
    form = base + "new/bell/big"
    assert "Tue 24 Nov 2026 06:00 UTC" in client.get(form).content.decode()
    values = {"often": "week", "weekday": "5", "at": "07:30", "timezone": "Europe/Berlin", "catch_up": "on"}
    page = client.post(form, values | {"parameter-loud": "2"}, follow=True)
    text = page.content.decode()
    assert "At 07:30 on Friday" in text
    assert 'title="2026-11-27 06:30 UTC"' in text
    assert "Fri 27 Nov 2026 07:30 CET" in text
    schedule = Schedule.objects.get()
    assert (schedule.cron, schedule.parameters) == ("30 7 * * 5", {"loud": 2})
    one = f"{base}{schedule.pk}/"
    assert client.get(one + "edit").context["form"]["weekday"].value() == "5"
    client.post(one + "edit", values | {"often": "cron", "cron": "0 * * * *"})
    client.post(one + "switch")
    schedule.refresh_from_db()
    assert (schedule.cron, schedule.enabled) == ("0 * * * *", False)
    client.post(one + "switch")
    frozen.moment = at("2026-11-23T12:00:00+00:00")
    firing.fire_due()
    assert "/bells/ding" in client.get(one).content.decode()
    assert "/bells/ding" in client.get(base).content.decode()
    client.post(one + "delete")
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"often": "cron", "cron": "0 0 30 2 *"}, "never comes"),
        ({"often": "cron", "cron": ""}, "five fields"),
        ({"often": "day", "at": ""}, "at what time"),
        ({"often": "day", "at": "25:00"}, "valid time"),
        ({"timezone": "Mars"}, "Mars"),
        ({"parameter-loud": "9"}, "loud is 1, 2 or 3"),
    ],
)
def test_the_form_says_what_is_wrong(people: People, bells: Bells, values: dict[str, str], says: str) -> None:
    given = {"often": "day", "at": "06:00", "timezone": "UTC", **values}
    page = people.client("contributor").post(f"/p/{people.project.slug}/schedules/new/bell/big", given)
    assert page.status_code == 422
    assert says in page.content.decode()
    assert not Schedule.objects.exists()


def test_the_preview_answers_while_one_types(people: People, frozen: Clock) -> None:
    preview = f"/p/{people.project.slug}/schedules/preview"
    client = people.client("contributor")
    good = {"often": "cron", "cron": "*/15 * * * *", "timezone": "Asia/Tokyo"}
    assert "21:00 JST" in client.get(preview, good).content.decode()
    for wrong in (good | {"cron": "x"}, good | {"timezone": "?"}, {}, {"often": "day"}):
        page = client.get(preview, wrong)
        assert page.status_code == 200
        assert "<li>" not in page.content.decode()


def test_a_viewer_only_looks(people: People, bells: Bells) -> None:
    schedule = make(people)
    page = people.client("viewer").get(f"/p/{people.project.slug}/schedules/{schedule.pk}/").content.decode()
    assert "Switch off" not in page
    assert "Delete" not in page
