"""Roles in teams and single projects, one-time passwords, and what ends when somebody leaves."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.accounts import actions, tokens
from apps.accounts.access import (
    Actor,
    get_editable_project,
    get_visible_project,
    get_visible_team,
    role_in_project,
    visible_projects,
)
from apps.accounts.models import ApiToken, AuditEvent, Membership, Project, User
from apps.accounts.offboarding import departure_of
from apps.accounts.queries import people_of
from apps.accounts.states import Role
from apps.jobs.models import Job
from apps.jobs.states import JobState, Where
from foundation.clock import now
from foundation.errors import AtelierError, Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from foundation.ids import uuid7
from tests.support.people import People, make_people
from tests.support.tokens import secret_for

GOOD = "correct horse battery"


def second_project(people: People) -> Project:
    return actions.create_project(actor=people.actor("owner"), slug="second", team=people.team)


def put(people: People, username: str, role: str, **projects: str) -> None:
    actions.set_member(
        actor=people.actor("owner"), team=people.team, username=username, role=role, projects=projects
    )


# ---- roles -------------------------------------------------------------------------------------------------


def test_a_plain_member_sees_the_team_and_no_project(people: People) -> None:
    put(people, "viewer", "member")
    actor = people.actor("viewer")
    assert get_visible_team(actor, "red") == people.team
    assert list(visible_projects(actor)) == []
    with pytest.raises(NotFound):
        get_visible_project(actor, "shop")


def test_a_role_in_a_project_opens_that_one(people: People) -> None:
    second_project(people)
    put(people, "viewer", "member", shop="contributor")
    actor = people.actor("viewer")
    assert get_editable_project(actor, "shop") == people.project
    assert [project.slug for project in visible_projects(actor)] == ["shop"]
    with pytest.raises(NotFound):
        get_visible_project(actor, "second")


def test_a_role_in_a_project_takes_the_place_of_the_one_in_the_team(people: People) -> None:
    second = second_project(people)
    put(people, "contributor", "contributor", shop="viewer", second="maintainer")
    actor = people.actor("contributor")
    assert role_in_project(actor, people.project) is Role.VIEWER
    assert role_in_project(actor, second) is Role.MAINTAINER
    names = set(people_of(people.project, role=Role.CONTRIBUTOR).values_list("username", flat=True))
    assert names == {"owner", "maintainer"}
    assert "contributor" in people_of(second, role=Role.MAINTAINER).values_list("username", flat=True)


def test_owners_are_owners_everywhere(people: People) -> None:
    put(people, "viewer", "owner", shop="viewer")
    assert role_in_project(people.actor("viewer"), people.project) is Role.OWNER


def test_who_is_maintainer_of_a_project_is_none_of_the_team(people: People) -> None:
    put(people, "viewer", "member", shop="maintainer")
    actor = people.actor("viewer")
    with pytest.raises(Forbidden):
        actions.create_project(actor=actor, slug="third", team=people.team)
    with pytest.raises(Forbidden):
        actions.set_member(actor=actor, team=people.team, username="viewer", role="owner")
    assert people.api("viewer").get("/api/v1/teams/red/audit").status_code == 403


def test_one_query_finds_the_role(people: People, django_assert_num_queries: Any) -> None:
    put(people, "viewer", "member", shop="contributor")
    actor = people.actor("viewer")
    with django_assert_num_queries(1):
        assert role_in_project(actor, people.project) is Role.CONTRIBUTOR


@pytest.mark.parametrize("persona", ["maintainer", "contributor", "viewer", "stranger"])
def test_nobody_but_an_owner_raises_a_role(people: People, persona: str) -> None:
    with pytest.raises(Forbidden):
        actions.set_member(actor=people.actor(persona), team=people.team, username=persona, role="owner")
    with pytest.raises(Forbidden):
        actions.create_member(actor=people.actor(persona), team=people.team, username="puppet", role="owner")
    assert not User.objects.filter(username="puppet").exists()


def test_a_project_of_another_team_is_not_given_out(people: People) -> None:
    with pytest.raises(NotFound):
        put(people, "viewer", "member", **{"else": "maintainer"})
    assert Membership.objects.get(team=people.team, user=people.viewer).role == Role.VIEWER


@pytest.mark.django_db(transaction=True)
def test_two_owners_cannot_demote_each_other_at_once(transactional_db: None, fake_tracking: Any) -> None:
    people = make_people()
    put(people, "maintainer", "owner")

    def demote(pair: tuple[str, str]) -> str:
        try:
            actions.set_member(actor=people.actor(pair[0]), team=people.team, username=pair[1], role="viewer")
        except AtelierError as error:
            return error.code
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(2) as threads:
        answers = sorted(threads.map(demote, [("owner", "maintainer"), ("maintainer", "owner")]))
    assert answers == ["done", "role.too_small"]
    assert Membership.objects.filter(team=people.team, role=Role.OWNER).count() == 1


def test_a_change_on_a_stale_reading_is_refused(people: People) -> None:
    api = people.api("owner")
    url = "/api/v1/teams/red/members/viewer"
    got = api.get(url)
    first = api.patch(url, {"role": "contributor"}, format="json", HTTP_IF_MATCH=got["ETag"])
    assert (first.status_code, first.json()["role"]) == (200, "contributor")
    second = api.patch(url, {"projects": {"shop": "maintainer"}}, format="json", HTTP_IF_MATCH=got["ETag"])
    assert (second.status_code, second.json()["error"]["code"]) == (409, "stale")
    third = api.patch(url, {"projects": {"shop": "maintainer"}}, format="json", HTTP_IF_MATCH=first["ETag"])
    assert third.json()["projects"] == {"shop": "maintainer"}
    assert third.json()["role"] == "contributor"


def test_the_page_saves_roles(people: People) -> None:
    owner = people.client("owner")
    assert (
        owner.post("/teams/red/members/viewer/", {"role": "member", "in-shop": "maintainer"}).status_code
        == 302
    )
    assert role_in_project(people.actor("viewer"), people.project) is Role.MAINTAINER
    assert b"Shop: maintainer" in owner.get("/teams/red/members/").content
    last = owner.post("/teams/red/members/owner/", {"role": "viewer"})
    assert last.status_code == 409
    assert b"at least one owner" in last.content


# ---- one-time passwords ------------------------------------------------------------------------------------


def made(people: People) -> tuple[User, str]:
    member, password = actions.create_member(
        actor=people.actor("owner"), team=people.team, username="nina", role="contributor"
    )
    return member.user, password


def test_a_one_time_password_opens_only_the_page_where_another_is_chosen(people: People) -> None:
    _, password = made(people)
    client = Client()
    answer = client.post("/login", {"username": "nina", "password": password})
    assert answer["Location"] == "/account/password"
    for url in ("/", "/p/shop/", "/account/", "/teams/red/"):
        assert client.get(url)["Location"] == "/account/password"
    assert client.get("/api/v1/me").status_code == 401
    data = {"old_password": password, "new_password1": GOOD, "new_password2": GOOD}
    assert client.post("/account/password", data)["Location"] == "/"
    assert client.get("/p/shop/").status_code == 200
    assert Client().post("/login", {"username": "nina", "password": password}).status_code == 422


def test_the_gateway_knows_no_session_with_a_one_time_password(people: People) -> None:
    from atelier.ports import _user_of_session

    user, password = made(people)
    client = Client()
    client.post("/login", {"username": "nina", "password": password})
    key = client.session.session_key
    assert key is not None
    assert _user_of_session(key) is None
    User.objects.filter(pk=user.pk).update(one_time_until=None)
    assert _user_of_session(key) == user


def test_a_one_time_password_expires(people: People) -> None:
    user, password = made(people)
    User.objects.filter(pk=user.pk).update(one_time_until=now() - datetime.timedelta(seconds=1))
    answer = Client().post("/login", {"username": "nina", "password": password})
    assert answer.status_code == 422
    assert b"has expired" in answer.content


def test_another_one_time_password_only_before_an_own_was_chosen(people: People) -> None:
    user, password = made(people)
    owner = people.actor("owner")
    again = actions.renew_one_time_password(actor=owner, team=people.team, username="nina")
    assert again != password
    user.refresh_from_db()
    actions.change_password(actor=Actor(user=user), user=user, old=again, new=GOOD)
    with pytest.raises(Forbidden):
        actions.renew_one_time_password(actor=owner, team=people.team, username="nina")
    with pytest.raises(Forbidden):
        actions.renew_one_time_password(actor=owner, team=people.team, username="viewer")


def test_an_owner_gets_at_no_account_that_belongs_to_another_team_too(people: People) -> None:
    made(people)
    actions.set_member(
        actor=people.actor("stranger"), team=people.other_project.team, username="nina", role="viewer"
    )
    with pytest.raises(Forbidden):
        actions.renew_one_time_password(actor=people.actor("owner"), team=people.team, username="nina")


def test_the_one_time_password_is_shown_once(people: People) -> None:
    owner = people.client("owner")
    page = owner.post("/teams/red/members/new/create", {"username": "nina", "role": "viewer"})
    assert page.status_code == 201
    user = User.objects.get(username="nina")
    words = [
        word
        for word in page.content.decode().replace("<", " ").replace(">", " ").split()
        if word.count("-") == 3
    ]
    assert any(user.check_password(word) for word in words)
    taken = owner.post("/teams/red/members/new/create", {"username": "NINA", "role": "viewer"})
    assert taken.status_code == 409
    assert b"already an account" in taken.content


# ---- the own account ---------------------------------------------------------------------------------------


def test_one_changes_name_address_and_password_through_rest(people: People) -> None:
    people.viewer.set_password(GOOD)
    people.viewer.save()
    api = people.api("viewer")
    etag = api.get("/api/v1/me")["ETag"]
    changed = api.patch(
        "/api/v1/me", {"name": "Vera", "email": "v@example.org"}, format="json", HTTP_IF_MATCH=etag
    )
    assert (changed.json()["name"], changed.json()["email"]) == ("Vera", "v@example.org")
    assert api.patch("/api/v1/me", {"name": "V"}, format="json", HTTP_IF_MATCH=etag).status_code == 409
    assert api.patch("/api/v1/me", {"email": "nonsense"}, format="json").status_code == 422
    assert api.patch("/api/v1/me", {"is_admin": True}, format="json").status_code == 422
    wrong = api.post("/api/v1/me/password", {"old": "x", "new": "another good one"}, format="json")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "user.password_wrong")
    weak = api.post("/api/v1/me/password", {"old": GOOD, "new": "short"}, format="json")
    assert (weak.status_code, weak.json()["error"]["code"]) == (422, "user.password")
    assert (
        api.post("/api/v1/me/password", {"old": GOOD, "new": "another good one"}, format="json").status_code
        == 204
    )
    assert AuditEvent.objects.filter(action="user.password", user=people.viewer).count() == 1


def test_wrong_present_passwords_are_counted(people: People) -> None:
    api = people.api("viewer")
    answers = [
        api.post("/api/v1/me/password", {"old": "x", "new": GOOD}, format="json").status_code
        for _ in range(11)
    ]
    assert answers == [422] * 10 + [429]


def test_signing_out_everywhere_ends_every_session(people: People) -> None:
    one, other = people.client("viewer"), people.client("viewer")
    assert one.post("/account/sign-out-everywhere")["Location"] == "/login"
    assert other.get("/p/shop/").status_code == 302
    assert people.api("viewer").get("/api/v1/projects/shop").status_code == 200


# ---- leaving -----------------------------------------------------------------------------------------------


def job_of(people: People, name: str) -> Job:
    return Job.objects.create(
        kind="test.nothing",
        where=Where.PLATFORM,
        project=people.project,
        created_by=people.users[name],
        title="t",
    )


def leave(people: People, name: str, **more: Any) -> None:
    actions.remove_member(actor=people.actor("owner"), team=people.team, username=name, **more)


def test_with_the_last_team_every_session_and_token_ends(people: People) -> None:
    client = people.client("contributor")
    secret = secret_for(people.contributor)
    assert client.get("/p/shop/").status_code == 200
    leave(people, "contributor")
    assert client.get("/p/shop/").status_code == 302
    with pytest.raises(Unauthenticated, match="revoked"):
        tokens.actor_of_token(secret)


def test_with_another_team_only_this_one_ends(people: People) -> None:
    blue = people.other_project.team
    actions.set_member(actor=people.actor("stranger"), team=blue, username="contributor", role="viewer")
    client = people.client("contributor")
    free, bound = secret_for(people.contributor), secret_for(people.contributor, project=people.project)
    leave(people, "contributor")
    assert client.get("/p/shop/").status_code == 404
    assert client.get("/p/else/").status_code == 200
    with pytest.raises(NotFound):
        get_visible_project(tokens.actor_of_token(free), "shop")
    with pytest.raises(Unauthenticated):
        tokens.actor_of_token(bound)


def test_links_that_they_made_are_withdrawn(people: People) -> None:
    put(people, "maintainer", "owner")
    invitation, _ = actions.create_invitation(
        actor=people.actor("maintainer"), team=people.team, role="viewer"
    )
    leave(people, "maintainer")
    invitation.refresh_from_db()
    assert invitation.revoked_at is not None


def test_running_jobs_are_cancelled_and_their_tokens_die(people: People) -> None:
    job = job_of(people, "contributor")
    secret = tokens.issue_job_token(user=people.contributor, project=people.project, job_id=job.pk, fence=1)
    assert [(left.count, left.noun) for left in departure_of(people.team, people.contributor).work] == [
        (1, "running job")
    ]
    leave(people, "contributor")
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert "left the team" in job.reason
    with pytest.raises(Unauthenticated):
        tokens.actor_of_token(secret)


def test_running_jobs_can_be_taken_over(people: People) -> None:
    job, theirs = job_of(people, "contributor"), job_of(people, "maintainer")
    secret = tokens.issue_job_token(user=people.contributor, project=people.project, job_id=job.pk, fence=1)
    leave(people, "contributor", take_over=True)
    job.refresh_from_db()
    theirs.refresh_from_db()
    assert (job.state, job.created_by) == (JobState.QUEUED, people.owner)
    assert theirs.created_by == people.maintainer
    actor = tokens.actor_of_token(secret)
    assert actor.user == people.owner
    assert role_in_project(actor, people.project) is Role.CONTRIBUTOR
    assert AuditEvent.objects.filter(action="job.take_over", user=people.owner).count() == 1


def test_schedules_are_switched_off_or_taken_over(people: People) -> None:
    from apps.jobs.schedules.models import Schedule

    due = now() + datetime.timedelta(hours=1)
    schedules = [
        Schedule.objects.create(
            project=people.project,
            kind="none",
            subject_id=str(uuid7()),
            cron="0 * * * *",
            timezone="UTC",
            created_by=people.users[name],
            acts_as=people.users[name],
            enabled=True,
            next_due=due,
        )
        for name in ("contributor", "maintainer")
    ]
    leave(people, "contributor")
    leave(people, "maintainer", take_over=True)
    for schedule in schedules:
        schedule.refresh_from_db()
    assert [schedule.enabled for schedule in schedules] == [False, True]
    assert "left the team" in schedules[0].reason
    assert schedules[1].acts_as == people.owner


def test_one_may_leave_but_the_last_owner_stays(people: People) -> None:
    client = people.client("viewer")
    page = client.get("/teams/red/members/viewer/remove").content.decode()
    assert "Leave Red team?" in page
    assert client.post("/teams/red/members/viewer/remove").status_code == 302
    assert not Membership.objects.filter(team=people.team, user=people.viewer).exists()
    assert people.api("contributor").delete("/api/v1/teams/red/members/contributor").status_code == 204
    owner = people.client("owner")
    last = owner.post("/teams/red/members/owner/remove")
    assert last.status_code == 409
    assert b"at least one owner" in last.content


def test_a_deactivated_owner_does_not_count_as_one(people: People) -> None:
    put(people, "maintainer", "owner")
    User.objects.filter(username="maintainer").update(is_active=False)
    with pytest.raises(Conflict):
        put(people, "owner", "viewer")


def test_the_page_says_what_ends(people: People) -> None:
    secret_for(people.contributor)
    job_of(people, "contributor")
    page = people.client("owner").get("/teams/red/members/contributor/remove").content.decode()
    for words in ("1 is revoked", "every session is signed out", "1 running job", "I take it over"):
        assert words in page
    assert people.client("viewer").get("/teams/red/members/contributor/remove").status_code == 403
    answer = people.client("owner").post("/teams/red/members/contributor/remove", {"work": "take_over"})
    assert answer["Location"] == "/teams/red/members/"
    assert Job.objects.get().created_by == people.owner


def test_an_unknown_choice_removes_nobody(people: People) -> None:
    answer = people.api("owner").delete("/api/v1/teams/red/members/viewer?work=burn")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "member.work")
    assert Membership.objects.filter(team=people.team, user=people.viewer).exists()


@pytest.mark.parametrize("name", ["ghost", "a" * 300, "..", "ä"])
def test_who_is_no_member_is_not_found(people: People, name: str) -> None:
    with pytest.raises(NotFound):
        leave(people, name)
    with pytest.raises((NotFound, Invalid)):
        actions.set_member(actor=people.actor("owner"), team=people.team, username=name, role="viewer")


def test_a_role_in_a_project_survives_its_stay_in_the_trash(people: People) -> None:
    put(people, "viewer", "member", shop="maintainer")
    actions.trash_project(actor=people.actor("owner"), project=people.project)
    put(people, "viewer", "member")
    assert people.api("owner").get("/api/v1/teams/red/members/viewer").json()["projects"] == {}
    people.project.refresh_from_db()
    actions.restore_project(actor=people.actor("owner"), project=people.project)
    assert role_in_project(people.actor("viewer"), people.project) is Role.MAINTAINER


@pytest.mark.parametrize("bound", ["job", "project"])
def test_a_bound_token_does_not_touch_the_account(people: People, bound: str) -> None:
    from rest_framework.test import APIClient

    if bound == "job":
        secret = tokens.issue_job_token(
            user=people.contributor, project=people.project, job_id=uuid7(), fence=1
        )
    else:
        secret = secret_for(people.contributor, project=people.project)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    answers = [
        client.patch("/api/v1/me", {"email": "evil@example.org"}, format="json"),
        client.post("/api/v1/me/password", {"old": "a", "new": GOOD}, format="json"),
        client.delete("/api/v1/me/sessions"),
    ]
    assert [answer.json()["error"]["code"] for answer in answers] == ["token.bound"] * 3
    people.contributor.refresh_from_db()
    assert (people.contributor.email, people.contributor.session_epoch) == ("", 0)


def test_tokens_of_the_removed_are_listed_no_more(people: People) -> None:
    secret_for(people.contributor)
    assert ApiToken.objects.filter(user=people.contributor, revoked_at=None).count() == 1
    leave(people, "contributor")
    assert people.api("owner").get("/api/v1/teams/red/tokens?q=zzz").json()["results"] == []
    assert not ApiToken.objects.filter(user=people.contributor, revoked_at=None).exists()
