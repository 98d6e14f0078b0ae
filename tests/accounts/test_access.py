"""Who may see and change what."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, connection, transaction

from apps.accounts import actions, tokens
from apps.accounts.access import (
    ANONYMOUS,
    Actor,
    get_editable_project,
    get_visible_project,
    get_visible_team,
)
from apps.accounts.actions import signin
from apps.accounts.models import ApiToken, AuditEvent, Membership, Project
from apps.accounts.states import Role, Scope
from foundation.clock import now
from foundation.errors import Conflict, Forbidden, Invalid, NotFound, TooMany, Unauthenticated
from tests.support.people import People
from tests.support.tokens import secret_for


def test_a_member_sees_the_project(people: People) -> None:
    for name in ("owner", "maintainer", "contributor", "viewer", "admin"):
        assert get_visible_project(people.actor(name), "shop") == people.project


def test_a_stranger_is_told_that_nothing_is_there(people: People) -> None:
    with pytest.raises(NotFound):
        get_visible_project(people.actor("stranger"), "shop")
    with pytest.raises(NotFound):
        get_visible_team(people.actor("stranger"), "red")


def test_nobody_is_asked_to_sign_in(people: People) -> None:
    with pytest.raises(Unauthenticated):
        get_visible_project(ANONYMOUS, "shop")


def test_a_viewer_may_not_change(people: People) -> None:
    with pytest.raises(Forbidden, match="contributor"):
        get_editable_project(people.actor("viewer"), "shop")


def test_a_contributor_is_no_maintainer(people: People) -> None:
    get_editable_project(people.actor("contributor"), "shop")
    with pytest.raises(Forbidden, match="maintainer"):
        get_editable_project(people.actor("contributor"), "shop", role=Role.MAINTAINER)


def test_a_read_only_token_only_reads(people: People) -> None:
    actor = tokens.actor_of_token(secret_for(people.owner, scope="read"))
    get_visible_project(actor, "shop")
    with pytest.raises(Forbidden, match="may only read"):
        get_editable_project(actor, "shop")


def test_a_bound_token_knows_one_project(people: People) -> None:
    actor = tokens.actor_of_token(secret_for(people.admin, project=people.project))
    assert get_visible_project(actor, "shop") == people.project
    with pytest.raises(NotFound):
        get_visible_project(actor, "else")
    with pytest.raises(NotFound):
        get_visible_team(actor, "red")
    with pytest.raises(Forbidden):
        actions.create_project(actor=actor, slug="third")
    with pytest.raises(Forbidden):
        actions.create_token(actor=actor, user=people.admin, name="wider")


def test_a_job_never_acts_above_contributor(people: People) -> None:
    from foundation.ids import uuid7

    secret = tokens.issue_job_token(user=people.owner, project=people.project, job_id=uuid7(), fence=1)
    actor = tokens.actor_of_token(secret)
    get_editable_project(actor, "shop")
    with pytest.raises(Forbidden):
        get_editable_project(actor, "shop", role=Role.MAINTAINER)


def test_a_job_token_dies_with_its_attempt(people: People) -> None:
    from foundation.ids import uuid7

    job = uuid7()
    first = tokens.issue_job_token(user=people.owner, project=people.project, job_id=job, fence=1)
    second = tokens.issue_job_token(user=people.owner, project=people.project, job_id=job, fence=2)
    tokens.end_job_tokens(job_id=job, fence=1)
    with pytest.raises(Unauthenticated, match="revoked"):
        tokens.actor_of_token(first)
    assert tokens.actor_of_token(second).fence == 2


def test_an_expired_or_revoked_token_says_so(people: People) -> None:
    secret = secret_for(people.viewer, days=1)
    ApiToken.objects.filter(user=people.viewer).update(expires_at=now() - datetime.timedelta(seconds=1))
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.actor_of_token(secret)
    secret = secret_for(people.viewer)
    token = ApiToken.objects.filter(user=people.viewer).latest("created_at")
    actions.revoke_token(actor=people.actor("viewer"), token=token)
    with pytest.raises(Unauthenticated, match="revoked"):
        tokens.actor_of_token(secret)


def test_the_secret_is_not_stored(people: People) -> None:
    secret = secret_for(people.viewer)
    row = ApiToken.objects.filter(user=people.viewer).values().get()
    assert all(secret not in str(value) for value in row.values())


def test_the_token_of_a_deactivated_account_is_dead(people: People) -> None:
    secret = secret_for(people.viewer)
    people.viewer.is_active = False
    people.viewer.save()
    with pytest.raises(Unauthenticated, match="deactivated"):
        tokens.actor_of_token(secret)


@pytest.mark.parametrize("text", ["", "atl_", "Bearer", "atl_" + "x" * 40, "atl_\x00", "x" * 5000])
def test_an_unknown_token_is_refused(people: People, text: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.actor_of_token(text)


def test_a_team_keeps_an_owner(people: People) -> None:
    actor = people.actor("owner")
    with pytest.raises(Conflict, match="at least one owner"):
        actions.remove_member(actor=actor, team=people.team, username="owner")
    with pytest.raises(Conflict):
        actions.set_member(actor=actor, team=people.team, username="owner", role="viewer")
    assert Membership.objects.get(team=people.team, user=people.owner).role == Role.OWNER


@pytest.mark.parametrize(
    "slug", ["a", "Shop", "a--b", "-a", "a-", "a b", "a/b", "a\x00b", "x" * 41, "", "api", "admin", None, 7]
)
def test_a_bad_slug_is_refused(people: People, slug: object) -> None:
    with pytest.raises(Invalid):
        actions.create_project(actor=people.actor("owner"), slug=slug, team=people.team)  # type: ignore[arg-type]


def test_a_slug_is_never_given_out_twice(people: People) -> None:
    actor = people.actor("owner")
    actions.trash_project(actor=actor, project=people.project)
    with pytest.raises(NotFound):
        get_visible_project(actor, "shop")
    with pytest.raises(Conflict, match="given out twice"):
        actions.create_project(actor=actor, slug="shop", team=people.team)
    actions.restore_project(actor=actor, project=Project.objects.trashed().get())
    assert get_visible_project(actor, "shop").slug == "shop"


def test_a_viewer_makes_no_project(people: People) -> None:
    with pytest.raises(Forbidden):
        actions.create_project(actor=people.actor("viewer"), slug="mine", team=people.team)
    assert not Project.objects.filter(slug="mine").exists()


def test_an_unknown_time_zone_is_refused(people: People) -> None:
    with pytest.raises(Invalid, match="time zone"):
        actions.update_project(actor=people.actor("owner"), project=people.project, timezone="Mars/Olympus")


def test_changes_leave_audit_rows_that_cannot_be_altered(people: People) -> None:
    row = AuditEvent.objects.filter(action="project.create", project=people.project).get()
    assert row.actor_label == "owner"
    for change in ("update accounts_auditevent set action='x'", "delete from accounts_auditevent"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            connection.cursor().execute(change)


def test_ten_failed_logins_close_the_door(people: People) -> None:
    for _ in range(10):
        actions.begin_login(username="owner", address="10.0.0.1")
    with pytest.raises(TooMany):
        actions.begin_login(username="owner", address="10.0.0.1")
    actions.begin_login(username="owner", address="10.0.0.2")
    actions.clear_login_failures(username="owner", address="10.0.0.1")
    actions.begin_login(username="owner", address="10.0.0.1")


@pytest.mark.django_db(transaction=True)
def test_attempts_at_once_are_counted_like_attempts_in_a_row() -> None:
    def attempt(_: int) -> bool:
        try:
            actions.begin_login(username="owner", address="10.0.0.1")
        except TooMany:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(16))) == signin.LOGIN_LIMIT_NAME


def test_scopes_and_lifetimes_are_checked(people: People) -> None:
    actor = people.actor("owner")
    with pytest.raises(Invalid):
        actions.create_token(actor=actor, user=people.owner, name="x", scope="root")
    with pytest.raises(Invalid):
        actions.create_token(actor=actor, user=people.owner, name="x", days=0)
    with pytest.raises(Invalid):
        actions.create_token(actor=actor, user=people.owner, name="  ")
    assert Scope.READ in Scope.values


def test_an_actor_is_frozen(people: People) -> None:
    with pytest.raises(AttributeError):
        Actor().scope = "write"  # type: ignore[misc]
