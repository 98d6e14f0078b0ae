"""Joining a team by a link: once, in time, by whom it is for."""

from __future__ import annotations

import datetime
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.accounts import actions
from apps.accounts.access import ANONYMOUS, get_editable_project, get_visible_project
from apps.accounts.actions.invitations import MAX_PENDING
from apps.accounts.models import AuditEvent, Invitation, Membership, User
from apps.accounts.states import Role
from foundation.clock import now
from foundation.errors import AtelierError, Conflict, Forbidden, Invalid, NotFound, TooMany
from tests.support.people import People, make_people

GOOD = "correct horse battery"


def invite(people: People, **more: Any) -> tuple[Invitation, str]:
    return actions.create_invitation(
        actor=people.actor("owner"), team=people.team, **{"role": "contributor", **more}
    )


def code_of(error: pytest.ExceptionInfo[AtelierError]) -> str:
    return error.value.code


def test_somebody_new_joins_with_a_name_and_password_of_their_own(people: People) -> None:
    invitation, secret = invite(people, role="member", projects={"shop": "maintainer"}, email="n@example.org")
    found = actions.find_invitation(secret, address="10.0.0.1")
    assert found == invitation
    member = actions.accept_as_new(actor=ANONYMOUS, invitation=found, username="nina", password=GOOD)
    assert (member.role, member.user.email) == (Role.MEMBER, "n@example.org")
    assert member.user.check_password(GOOD)
    from apps.accounts.access import Actor

    get_editable_project(Actor(user=member.user), "shop", role=Role.MAINTAINER)
    row = AuditEvent.objects.get(action="invitation.accept")
    assert (row.team, row.actor_label, row.detail["invited_by"]) == (people.team, "nina", "owner")


def test_the_secret_is_in_no_row(people: People) -> None:
    invitation, secret = invite(people)
    assert secret not in str(Invitation.objects.filter(pk=invitation.pk).values().get())
    assert all(secret not in str(row) for row in AuditEvent.objects.values())


def test_it_works_once(people: People) -> None:
    invitation, _ = invite(people)
    actions.accept_invitation(actor=people.actor("stranger"), invitation=invitation)
    with pytest.raises(Conflict) as error:
        actions.accept_as_new(actor=ANONYMOUS, invitation=invitation, username="late", password=GOOD)
    assert code_of(error) == "invitation.used"
    assert not User.objects.filter(username="late").exists()


def test_it_expires(people: People) -> None:
    invitation, _ = invite(people)
    Invitation.objects.update(expires_at=now() - datetime.timedelta(seconds=1))
    with pytest.raises(Conflict) as error:
        actions.accept_invitation(actor=people.actor("stranger"), invitation=invitation)
    assert code_of(error) == "invitation.expired"


def test_it_can_be_withdrawn_but_not_after_it_was_used(people: People) -> None:
    invitation, _ = invite(people)
    actions.revoke_invitation(actor=people.actor("owner"), invitation=invitation)
    with pytest.raises(Conflict) as error:
        actions.accept_invitation(actor=people.actor("stranger"), invitation=invitation)
    assert code_of(error) == "invitation.revoked"
    used, _ = invite(people)
    actions.accept_invitation(actor=people.actor("stranger"), invitation=used)
    with pytest.raises(Conflict):
        actions.revoke_invitation(actor=people.actor("owner"), invitation=used)


def test_it_ends_when_its_maker_is_no_owner_any_more(people: People) -> None:
    invitation, _ = invite(people, role="owner")
    actions.set_member(actor=people.actor("admin"), team=people.team, username="maintainer", role="owner")
    actions.set_member(actor=people.actor("admin"), team=people.team, username="owner", role="viewer")
    with pytest.raises(Conflict) as error:
        actions.accept_invitation(actor=people.actor("stranger"), invitation=invitation)
    assert code_of(error) == "invitation.revoked"


def test_it_is_for_one_account_when_it_names_one(people: People) -> None:
    invitation, _ = invite(people, username="nina")
    with pytest.raises(Forbidden) as error:
        actions.accept_invitation(actor=people.actor("stranger"), invitation=invitation)
    assert code_of(error) == "invitation.wrong_person"
    with pytest.raises(Forbidden):
        actions.accept_as_new(actor=ANONYMOUS, invitation=invitation, username="other", password=GOOD)
    assert actions.accept_as_new(actor=ANONYMOUS, invitation=invitation, username="nina", password=GOOD)


def test_a_member_does_not_use_it_up(people: People) -> None:
    invitation, _ = invite(people, role="owner")
    with pytest.raises(Conflict) as error:
        actions.accept_invitation(actor=people.actor("viewer"), invitation=invitation)
    assert code_of(error) == "invitation.member"
    invitation.refresh_from_db()
    assert invitation.accepted_at is None
    assert Membership.objects.get(team=people.team, user=people.viewer).role == Role.VIEWER


@pytest.mark.parametrize("persona", ["maintainer", "contributor", "viewer", "stranger"])
def test_only_owners_invite(people: People, persona: str) -> None:
    with pytest.raises(Forbidden):
        actions.create_invitation(actor=people.actor(persona), team=people.team, role="viewer")
    assert not Invitation.objects.exists()


def test_a_bound_token_and_a_job_cannot_join(people: People) -> None:
    from apps.accounts.access import Actor

    invitation, _ = invite(people)
    actor = Actor(user=people.stranger, project_id=people.other_project.pk)
    with pytest.raises(Forbidden):
        actions.accept_invitation(actor=actor, invitation=invitation)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"days": 0}, Invalid),
        ({"days": 31}, Invalid),
        ({"days": True}, Invalid),
        ({"role": "king"}, Invalid),
        ({"projects": {"else": "viewer"}}, NotFound),
        ({"projects": {"shop": "owner"}}, Invalid),
        ({"email": "nobody"}, Invalid),
        ({"username": "a b"}, Invalid),
        ({"note": "x" * 121}, Invalid),
    ],
)
def test_what_makes_no_sense_is_refused(
    people: People, more: dict[str, Any], error: type[AtelierError]
) -> None:
    with pytest.raises(error):
        invite(people, **more)
    assert not Invitation.objects.exists()


def test_there_is_an_end_to_open_invitations(people: People) -> None:
    for _ in range(MAX_PENDING):
        Invitation.objects.create(
            team=people.team,
            digest=str(Invitation.objects.count()),
            role="viewer",
            invited_by=people.owner,
            expires_at=now() + datetime.timedelta(days=1),
        )
    with pytest.raises(Conflict, match="open"):
        invite(people)


def test_guessing_codes_is_slowed_down(people: People) -> None:
    invite(people)
    for _ in range(10):
        with pytest.raises(NotFound):
            actions.find_invitation("inv_" + "x" * 40, address="10.0.0.9")
    with pytest.raises(TooMany):
        actions.find_invitation("inv_" + "x" * 40, address="10.0.0.9")


@pytest.mark.parametrize("code", ["", None, "inv_", "inv_" + "x" * 5000, "atl_" + "x" * 40, "inv_\x00", 7])
def test_an_odd_code_is_unknown(people: People, code: object) -> None:
    with pytest.raises(NotFound):
        actions.find_invitation(code, address="10.0.0.9")


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_joins(transactional_db: None, fake_tracking: Any) -> None:
    people = make_people()
    invitation, _ = invite(people)

    def accept(number: int) -> str:
        try:
            actions.accept_as_new(
                actor=ANONYMOUS, invitation=invitation, username=f"twin{number}", password=GOOD
            )
        except AtelierError as error:
            return error.code
        finally:
            connection.close()
        return "joined"

    with ThreadPoolExecutor(4) as threads:
        answers = sorted(threads.map(accept, range(4)))
    assert answers == ["invitation.used"] * 3 + ["joined"]
    assert User.objects.filter(username__startswith="twin").count() == 1


# ---- the pages ---------------------------------------------------------------------------------------------


def prove(client: Client, secret: str) -> Any:
    return client.post("/join", {"code": secret})


def test_the_page_lets_somebody_new_in(people: People) -> None:
    _, secret = invite(people)
    client = Client()
    assert b"Invitation code" in client.get("/join").content
    assert prove(client, secret)["Location"] == "/join"
    page = client.get("/join")
    assert b"Join Red team" in page.content
    assert secret.encode() not in page.content
    data = {"username": "nina", "name": "Nina", "password": GOOD, "again": GOOD}
    answer = client.post("/join", data)
    assert (answer.status_code, answer["Location"]) == (302, "/teams/red/")
    assert client.get("/p/shop/").status_code == 200


def test_the_page_says_what_is_wrong_and_makes_nothing(people: People) -> None:
    _, secret = invite(people)
    client = Client()
    prove(client, secret)
    for change, sentence in (
        ({"again": "other"}, "not the same"),
        ({"password": "short", "again": "short"}, "too short"),
        ({"username": "viewer"}, "already an account"),
        ({"username": "a b"}, "may hold letters"),
    ):
        data = {"username": "nina", "password": GOOD, "again": GOOD, **change}
        answer = client.post("/join", data)
        assert answer.status_code in (409, 422)
        assert sentence in answer.content.decode()
        assert GOOD not in answer.content.decode()
    assert not User.objects.filter(username="nina").exists()


def test_the_page_lets_somebody_in_who_signs_in_on_the_way(people: People) -> None:
    people.stranger.set_password(GOOD)
    people.stranger.save()
    _, secret = invite(people)
    client = Client()
    prove(client, secret)
    answer = client.post("/login", {"username": "stranger", "password": GOOD, "next": "/join"})
    assert answer["Location"] == "/join"
    assert b"Join as stranger" in client.get("/join").content
    assert client.post("/join")["Location"] == "/teams/red/"
    assert get_visible_project(people.actor("stranger"), "shop")


@pytest.mark.parametrize(
    ("state", "persona", "status", "words"),
    [
        ("used", "anonymous", 409, "has been used"),
        ("expired", "anonymous", 409, "has expired"),
        ("revoked", "stranger", 409, "has been withdrawn"),
        ("wrong", "stranger", 403, "for somebody else"),
        ("member", "viewer", 409, "in already"),
    ],
)
def test_each_refusal_is_a_page_of_its_own(
    people: People, state: str, persona: str, status: int, words: str
) -> None:
    invitation, secret = invite(people, username="nina" if state == "wrong" else "")
    moment = now()
    change = {
        "used": {"accepted_at": moment, "accepted_by": people.admin},
        "expired": {"expires_at": moment},
        "revoked": {"revoked_at": moment},
    }.get(state, {})
    Invitation.objects.filter(pk=invitation.pk).update(**change or {"note": "x"})
    client = people.client(persona)
    prove(client, secret)
    answer = client.get("/join")
    assert answer.status_code == status
    assert words in answer.content.decode()


def test_a_wrong_code_is_not_repeated_by_the_page(people: People) -> None:
    answer = prove(Client(), "inv_" + "y" * 40)
    assert answer.status_code == 404
    assert b"y" * 40 not in answer.content


def test_the_link_is_shown_once_with_the_secret_behind_the_hash(
    people: People, caplog: pytest.LogCaptureFixture
) -> None:
    owner = people.client("owner")
    with caplog.at_level(logging.DEBUG):
        made = owner.post(
            "/teams/red/members/new/invite",
            {"note": "Nina", "role": "member", "in-shop": "viewer", "days": "7"},
        )
    assert made.status_code == 201
    assert made["Cache-Control"].startswith("max-age=0")
    text = made.content.decode()
    secret = text.partition("/join#")[2].partition("<")[0].split("&")[0].split('"')[0]
    assert secret.startswith("inv_")
    assert secret not in caplog.text
    assert secret not in owner.get("/teams/red/members/").content.decode()
    assert Invitation.objects.get().note == "Nina"


def test_joining_through_rest(people: People) -> None:
    made = people.api("owner").post(
        "/api/v1/teams/red/invitations",
        {"role": "viewer", "projects": {"shop": "contributor"}},
        format="json",
    )
    assert made.status_code == 201
    assert made.json()["link"].endswith("#" + made.json()["code"])
    listed = people.api("owner").get("/api/v1/teams/red/invitations").json()["results"]
    assert [(one["state"], one["projects"]) for one in listed] == [("pending", {"shop": "contributor"})]
    assert "code" not in listed[0]
    body = {"code": made.json()["code"], "username": "nina", "password": GOOD}
    nobody = people.api("anonymous")
    joined = nobody.post("/api/v1/invitations/accept", body, format="json")
    assert joined.json() == {
        "team": "red",
        "username": "nina",
        "role": "viewer",
        "projects": {"shop": "contributor"},
    }
    again = nobody.post("/api/v1/invitations/accept", {**body, "username": "other"}, format="json")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "invitation.used")
    assert people.api("owner").delete(f"/api/v1/teams/red/invitations/{made.json()['id']}").status_code == 409


def test_a_read_only_token_does_not_join(people: People) -> None:
    _, secret = invite(people)
    answer = people.api("stranger", scope="read").post(
        "/api/v1/invitations/accept", {"code": secret}, format="json"
    )
    assert answer.status_code == 403
    assert people.api("stranger").post("/api/v1/invitations/accept", {"code": secret}).status_code == 200
