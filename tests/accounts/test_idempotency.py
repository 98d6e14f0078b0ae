"""Idempotency-Key: what is repeated is done once, and answered alike."""

from __future__ import annotations

import datetime
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections, transaction
from django.db.models.functions import Now
from django.http import HttpResponse
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory

from apps.accounts.access import ANONYMOUS
from apps.accounts.actions import set_member
from apps.accounts.api_base import StudioAPIView
from apps.accounts.idempotency import answers
from apps.accounts.idempotency.models import KeyedAnswer
from apps.accounts.models import ApiToken, Team
from foundation.errors import Conflict, TooMany
from tests.support.people import People, make_people
from tests.support.tokens import secret_for

TEAMS = "/api/v1/teams"


def make_team(client: Any, key: str, slug: str = "green", **headers: str) -> Any:
    return client.post(
        TEAMS, {"slug": slug, "name": "Green"}, format="json", headers={"Idempotency-Key": key, **headers}
    )


def code_of(response: Any) -> str:
    return str(json.loads(response.content)["error"]["code"])


def test_the_second_request_gets_the_first_answer(people: People) -> None:
    client = people.api("owner")
    first, second = make_team(client, "k1"), make_team(client, "k1")
    assert (first.status_code, second.status_code) == (201, 201)
    assert json.loads(first.content) == json.loads(second.content)
    assert first.headers.get("ETag") == second.headers.get("ETag")
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert Team.objects.filter(slug="green").count() == 1


def test_without_a_key_nothing_is_kept(people: People) -> None:
    people.api("owner").post(TEAMS, {"slug": "green", "name": "Green"}, format="json")
    assert not KeyedAnswer.objects.exists()


def test_another_body_is_refused(people: People) -> None:
    client = people.api("owner")
    make_team(client, "k1")
    second = make_team(client, "k1", slug="other")
    assert (second.status_code, code_of(second)) == (422, "idempotency.mismatch")
    assert not Team.objects.filter(slug="other").exists()


def test_the_spelling_of_the_body_does_not_matter(people: People) -> None:
    client = people.api("owner")
    for text in ('{"slug": "green", "name": "Green"}', '{"name":"Green",\n"slug":"green"}'):
        response = client.post(
            TEAMS, text, content_type="application/json", headers={"Idempotency-Key": "k1"}
        )
        assert response.status_code == 201


def test_a_refusal_is_an_answer_too(people: People) -> None:
    client = people.api("owner")
    first = make_team(client, "k1", slug="red")
    Team.objects.filter(slug="red").update(slug="crimson")
    second = make_team(client, "k1", slug="red")
    assert first.status_code == second.status_code == 409
    assert json.loads(first.content) == json.loads(second.content)


def test_a_key_belongs_to_its_token_and_address(people: People) -> None:
    owner = people.api("owner")
    make_team(owner, "k1")
    assert make_team(people.api("stranger"), "k1", slug="other").status_code == 201
    same_person = APIClient()
    same_person.credentials(HTTP_AUTHORIZATION=f"Bearer {secret_for(people.owner)}")
    assert make_team(same_person, "k1", slug="third").status_code == 201
    elsewhere = owner.post(
        "/api/v1/projects/shop/experiments",
        {"name": "one"},
        format="json",
        headers={"Idempotency-Key": "k1"},
    )
    assert elsewhere.status_code == 201
    with_slash = owner.post(
        f"{TEAMS}/", {"slug": "green", "name": "Green"}, format="json", headers={"Idempotency-Key": "k1"}
    )
    assert with_slash["Idempotent-Replayed"] == "true"


def test_a_browser_session_has_keys_too(people: People) -> None:
    client = people.client("owner")
    for _ in range(2):
        response = client.post(
            TEAMS,
            json.dumps({"slug": "green", "name": "Green"}),
            content_type="application/json",
            headers={"Idempotency-Key": "k1"},
        )
        assert response.status_code == 201
    assert response["Idempotent-Replayed"] == "true"


def test_who_may_no_longer_is_not_told(people: People) -> None:
    """The answer is given again only to whoever could still ask."""
    client, path = people.api("contributor"), "/api/v1/projects/shop/experiments"
    asked: dict[str, Any] = {"format": "json", "headers": {"Idempotency-Key": "k1"}}
    assert client.post(path, {"name": "one"}, **asked).status_code == 201
    set_member(actor=people.actor("owner"), team=people.team, username="contributor", role="viewer")
    assert client.post(path, {"name": "one"}, **asked).status_code == 403


@pytest.mark.parametrize("key", ["", "x" * 256, "ä", "a\tb"])
def test_a_key_of_another_form_is_refused(people: People, key: str) -> None:
    response = make_team(people.api("owner"), key)
    assert (response.status_code, code_of(response)) == (422, "idempotency.key")
    assert not Team.objects.filter(slug="green").exists()


def test_what_is_kept_tells_nothing(people: People) -> None:
    """A token's secret is given again, and can be read neither in the row nor without the key."""
    client = people.api("owner")
    asked: dict[str, Any] = {"format": "json", "headers": {"Idempotency-Key": "a token, please"}}
    body = {"name": "laptop", "scope": "read", "project": "shop"}
    first = client.post("/api/v1/teams/red/tokens", body, **asked)
    second = client.post("/api/v1/teams/red/tokens", body, **asked)
    secret = json.loads(first.content)["secret"]
    assert first.status_code == 201
    assert json.loads(second.content)["secret"] == secret
    assert ApiToken.objects.filter(name="laptop").count() == 1
    row = KeyedAnswer.objects.get()
    assert secret.encode() not in bytes(row.body)
    assert "a token, please" not in f"{row.slot}{row.request}{row.headers}"


def test_another_secret_key_leaves_an_answer_unreadable(people: People) -> None:
    client = people.api("owner")
    make_team(client, "k1")
    KeyedAnswer.objects.update(body=b"gAAAAA-something-else")
    response = make_team(client, "k1")
    assert (response.status_code, code_of(response)) == (409, "idempotency.unreadable")


def test_after_a_day_the_key_is_free(people: People) -> None:
    client = people.api("owner")
    make_team(client, "k1")
    KeyedAnswer.objects.update(created_at=Now() - answers.KEPT + datetime.timedelta(minutes=1))
    assert make_team(client, "k1")["Idempotent-Replayed"] == "true"
    assert answers.forget_old() == 0
    KeyedAnswer.objects.update(created_at=Now() - answers.KEPT)
    assert make_team(client, "k1", slug="later").status_code == 201
    assert make_team(client, "k1", slug="later")["Idempotent-Replayed"] == "true"
    KeyedAnswer.objects.update(created_at=Now() - answers.KEPT)
    assert answers.forget_old() == 1


class Probe(StudioAPIView):
    """Does what a test says."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Any) -> Any:
        return self.act(request)

    act: Any = None


def probe(act: Any, body: Any = None, *, key: str = "k1", **options: Any) -> Any:
    request = APIRequestFactory().post(
        "/probe", body or {}, headers={"Idempotency-Key": key}, **{"format": "json", **options}
    )
    request.actor = ANONYMOUS  # type: ignore[attr-defined]
    response = Probe.as_view(act=act)(request)
    return response.render() if hasattr(response, "render") else response


def team(slug: str) -> Team:
    return Team.objects.create(slug=slug, name=slug)


def test_a_failure_of_ours_leaves_nothing_and_may_be_tried_again(db: None) -> None:
    def broken(request: Any) -> Response:
        team("half")
        raise RuntimeError("the process stumbles")

    def whole(request: Any) -> Response:
        return Response({"id": str(team("half").pk)}, status=201)

    assert probe(broken).status_code == 500
    assert not Team.objects.exists()
    assert probe(whole).status_code == 201


def test_too_many_is_not_kept_but_what_it_counted_is(db: None) -> None:
    def limited(request: Any) -> Response:
        team(f"failure-{Team.objects.count()}")  # as the count of wrong codes does
        raise TooMany("rate.limited", "Wait.", retry_after=7)

    assert probe(limited)["Retry-After"] == "7"
    assert probe(limited).status_code == 429
    assert Team.objects.count() == 2
    assert not KeyedAnswer.objects.exists()


def test_what_a_refusal_has_counted_stays(db: None) -> None:
    """A limit on wrong codes must not be got around by sending a key."""

    def refused(request: Any) -> Response:
        team("failure")
        raise Conflict("some.thing", "No.")

    assert probe(refused).status_code == 409
    assert Team.objects.count() == 1
    assert probe(refused).status_code == 409
    assert Team.objects.count() == 1


def test_files_count_by_their_bytes(db: None) -> None:
    def whole(request: Any) -> Response:
        return Response({"read": request.data["file"].read().decode()}, status=201)

    def send(content: bytes, key: str = "k1") -> Any:
        return probe(
            whole, {"name": "x", "file": SimpleUploadedFile("a.csv", content)}, key=key, format="multipart"
        )

    assert json.loads(send(b"one").content) == {"read": "one"}
    assert json.loads(send(b"one").content) == {"read": "one"}
    # Nobody in particular shares a slot only with the very same words.
    assert json.loads(send(b"two").content) == {"read": "two"}


def test_answers_of_other_kinds_are_kept_as_they_are(db: None) -> None:
    for act in (
        lambda request: HttpResponse(b"a,b\n", content_type="text/csv"),
        lambda request: Response(status=204),
    ):
        KeyedAnswer.objects.all().delete()
        first, second = probe(act), probe(act)
        assert (first.status_code, first.content) == (second.status_code, second.content)
        assert first.get("Content-Type") in (second.get("Content-Type"), None)


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_make_one(fake_tracking: Any) -> None:
    people = make_people()
    secret = people.secret("owner")
    together = threading.Barrier(10)

    def ask(number: int) -> tuple[int, str]:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        if number < 10:
            together.wait(10)
        try:
            response = make_team(client, "k1")
            body = json.loads(response.content)
            return response.status_code, body.get("slug") or body["error"]["code"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        found = set(pool.map(ask, range(50)))
    assert (201, "green") in found
    assert found <= {(201, "green"), (409, "idempotency.running")}
    assert Team.objects.filter(slug="green").count() == 1
    assert KeyedAnswer.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_session_that_dies_in_the_middle_leaves_neither_effect_nor_key() -> None:
    """As a killed web process does: its transaction is rolled back, its lock is free."""
    at_work, go_on = threading.Event(), threading.Event()
    pids: list[int] = []

    def work() -> None:
        def slow(request: Any) -> Response:
            team("half")
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                pids.append(cursor.fetchone()[0])
            at_work.set()
            go_on.wait(10)
            return Response({"id": str(team("other half").pk)}, status=201)

        try:
            probe(slow)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    assert at_work.wait(10)
    second = probe(lambda request: Response(status=204))
    assert (second.status_code, code_of(second)) == (409, "idempotency.running")
    assert second["Retry-After"] == "1"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", pids)
    go_on.set()
    thread.join(10)
    assert not Team.objects.exists()
    assert not KeyedAnswer.objects.exists()
    assert probe(lambda request: Response(status=204)).status_code == 204
