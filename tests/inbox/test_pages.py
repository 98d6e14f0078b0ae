"""The inbox's pages and REST: filters, reading, settings, the bell, and that nobody sees another's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapters.mail.fake import FakePost
from apps.inbox import actions, queries
from apps.inbox.models import Message, Notification, Watch
from apps.inbox.states import Channel, Kind
from apps.jobs.models import Job
from tests.support.people import People

pytestmark = pytest.mark.django_db
API = "/api/v1/me/notifications"


@pytest.fixture
def three(people: People) -> list[Notification]:
    """Three notifications of the viewer, the newest first: of the project, of another kind, of no project."""
    for number, (kind, project) in enumerate(
        [(Kind.INVITATION_ACCEPTED, None), (Kind.ALERT, people.project), (Kind.JOB_FAILED, people.project)]
    ):
        actions.tell(
            [people.viewer], kind=kind, key=f"k{number}", sentence=f"News number {number}", url="/account/",
            project=project, state="failed",
        )  # fmt: skip
    return list(Notification.objects.order_by("-created_at"))


def shown(page: Any) -> list[int]:
    """The numbers of the news on a page."""
    text = page.content.decode()
    return [number for number in range(3) if f"News number {number}<" in text]


def test_the_inbox_is_filtered(people: People, three: list[Notification]) -> None:
    client = people.client("viewer")
    actions.mark(actor=people.actor("viewer"), read=True, ids=[three[0].pk])
    for query, expected in {
        "": [0, 1, 2],
        "unread=true": [0, 1],
        "kind=alert": [1],
        "kind=nonsense": [0, 1, 2],
        "project=shop": [1, 2],
        "q=number+2": [2],
        "q=%00": [0, 1, 2],
        "unread=true&project=shop": [1],
    }.items():
        assert shown(client.get(f"/account/inbox?{query}")) == expected, query
    assert "Nothing matches" in client.get("/account/inbox?q=nothing+like+it").content.decode()
    assert "Nothing yet" in people.client("owner").get("/account/inbox").content.decode()


def test_nobody_sees_or_opens_anothers(people: People, three: list[Notification]) -> None:
    for name in ("stranger", "owner", "admin"):
        client = people.client(name)
        assert shown(client.get("/account/inbox")) == []
        assert client.get(f"/account/inbox/{three[0].pk}").status_code == 404
        client.post("/account/inbox/mark", {"verb": "read", "id": [str(three[0].pk)]})
        assert people.api(name).get(API).json()["results"] == []
        assert people.api(name).post(f"{API}/read", {"ids": [str(three[0].pk)]}).json() == {"changed": 0}
    assert queries.unread_count(people.actor("viewer")) == 3


def test_opening_marks_it_read(people: People, three: list[Notification]) -> None:
    answer = people.client("viewer").get(f"/account/inbox/{three[0].pk}")
    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert queries.unread_count(people.actor("viewer")) == 2


def test_marking_some_and_all(people: People, three: list[Notification]) -> None:
    client, actor = people.client("viewer"), people.actor("viewer")
    client.post("/account/inbox/mark", {"verb": "read", "id": [str(three[0].pk), str(three[1].pk)]})
    assert queries.unread_count(actor) == 1
    client.post("/account/inbox/mark", {"verb": "unread", "id": [str(three[0].pk)]})
    assert queries.unread_count(actor) == 2
    answer = client.post(
        "/account/inbox/mark", {"verb": "all", "project": "shop", "next": "https://evil.example/"}
    )
    assert answer["Location"] == "/account/inbox"
    assert queries.unread_count(actor) == 1, "only those that fit the filter of the page"
    client.post("/account/inbox/mark", {"verb": "all"})
    assert queries.unread_count(actor) == 0
    assert client.post("/account/inbox/mark", {"verb": "read", "id": ["no id"]}).status_code == 422


def test_the_bell_counts_and_answers_304(people: People, three: list[Notification]) -> None:
    client = people.client("viewer")
    for path in ("/p/shop/", "/", "/account/inbox"):
        assert 'aria-label="Inbox, 3 unread"' in client.get(path).content.decode(), path
    for path in ("/now", "/p/shop/running"):
        first = client.get(path)
        assert "3 unread" in first.content.decode()
        assert client.get(path, headers={"If-None-Match": first["ETag"]}).status_code == 304
    actions.mark(actor=people.actor("viewer"), read=True)
    assert 'aria-label="Inbox"' in client.get("/p/shop/").content.decode()


def test_counting_ends_at_a_hundred(people: People) -> None:
    Notification.objects.bulk_create(
        Notification(user=people.viewer, kind=Kind.ALERT, sentence="x", url="/", key=f"k{n}")
        for n in range(120)
    )
    assert "99+" in people.client("viewer").get("/").content.decode()


def test_the_page_keeps_to_its_budget(
    people: People, three: list[Notification], django_assert_max_num_queries: Any
) -> None:
    client = people.client("viewer")
    Notification.objects.bulk_create(
        Notification(user=people.viewer, kind=Kind.ALERT, sentence="x", url="/", key=f"b{n}", project=people.project)
        for n in range(60)
    )  # fmt: skip
    client.get("/account/inbox")
    with django_assert_max_num_queries(9):
        assert "Older" in (page := client.get("/account/inbox").content.decode()) or "cursor=" in page
    with django_assert_max_num_queries(6):
        client.get("/now")


def test_rest_lists_filters_and_marks(people: People, three: list[Notification]) -> None:
    api = people.api("viewer")
    found = api.get(API).json()["results"]
    assert [item["sentence"] for item in found] == [f"News number {n}" for n in (2, 1, 0)]
    assert found[0]["project"] == "shop"
    assert found[2]["project"] is None
    assert len(api.get(f"{API}?kind=alert&unread=true").json()["results"]) == 1
    assert api.get(f"{API}?kind=nonsense").json()["error"]["code"] == "notification.kind"
    assert api.post(f"{API}/read", {}).json()["error"]["code"] == "notification.ids"
    assert api.post(f"{API}/read", {"ids": ["x"]}).json()["error"]["code"] == "notification.ids"
    assert api.post(f"{API}/read", {"ids": [found[0]["id"]]}).json() == {"changed": 1}
    assert api.post(f"{API}/read", {"all": True}).json() == {"changed": 2}
    assert api.post(f"{API}/unread", {"ids": [found[0]["id"]]}).json() == {"changed": 1}
    assert api.get(f"{API}?limit=1").json()["next"]


def test_a_token_of_a_project_sees_only_its_news_and_a_jobs_token_none(
    people: People, three: list[Notification]
) -> None:
    from rest_framework.test import APIClient

    from apps.accounts.actions import create_token
    from apps.accounts.tokens import issue_job_token
    from foundation.ids import uuid7

    _, bound = create_token(
        actor=people.actor("viewer"), user=people.viewer, name="b", scope="read", project=people.project
    )
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {bound}")
    assert len(client.get(API).json()["results"]) == 2
    secret = issue_job_token(user=people.viewer, project=people.project, job_id=uuid7(), fence=1)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert client.get(API).status_code == 403


def test_settings_are_chosen_on_the_page_and_by_rest(people: People) -> None:
    client = people.client("viewer")
    page = client.get("/account/notifications").content.decode()
    assert "This studio has no mail server" in page
    form = {kind.value: "inbox" for kind in Kind}
    answer = client.post("/account/notifications", {**form, "alert": "off", "email": "v@example.org"})
    assert answer.status_code == 302
    people.viewer.refresh_from_db()
    assert people.viewer.email == "v@example.org"
    assert queries.channels_of(people.viewer)[Kind.ALERT] == Channel.OFF
    api = people.api("viewer")
    assert api.get(f"{API}/settings").json()["alert"] == "off"
    assert api.patch(f"{API}/settings", {"alert": "email"}).json()["alert"] == "email"
    assert api.patch(f"{API}/settings", {"alert": "pigeon"}).json()["error"]["code"] == "notification.channel"
    assert api.patch(f"{API}/settings", {"weather": "off"}).json()["error"]["code"] == "request.unknown_field"
    for bad in ({**form, "email": "no address"}, {**form, "alert": "pigeon"}, {}):
        assert client.post("/account/notifications", bad).status_code == 422
    assert queries.channels_of(people.viewer)[Kind.ALERT] == Channel.EMAIL


def test_the_test_message_and_what_became_of_it(people: People, post: FakePost) -> None:
    client = people.client("contributor")
    answer = client.post("/account/notifications/test", follow=True)
    assert "A test message to contributor@example.org is on its way." in answer.content.decode()
    Message.objects.update(state="failed", reason="The mail server refuses the recipient: 550 no.")
    page = client.get("/account/notifications").content.decode()
    assert "not sent. The mail server refuses the recipient: 550 no." in page
    assert "disabled" in people.client("viewer").get("/account/notifications").content.decode()


def test_a_job_page_offers_to_tell_when_it_ends(people: People, submit: Callable[..., Job]) -> None:
    job = submit(project=people.project, created_by=people.contributor)
    client = people.client("viewer")
    path = f"/p/shop/jobs/{job.pk}/"
    assert "Tell me when it ends" in client.get(path).content.decode()
    assert client.post(f"{path}watch", {"wanted": "1", "next": path})["Location"] == path
    assert "Do not tell me" in client.get(path).content.decode()
    client.post(f"{path}watch", {"wanted": ""})
    assert not Watch.objects.exists()
    assert people.client("stranger").post(f"{path}watch", {"wanted": "1"}).status_code == 404
