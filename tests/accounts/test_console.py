"""The pages of a team: for everybody's eyes what is theirs, within their budgets; the audit trail and its export."""

from __future__ import annotations

import csv
import datetime
import io
import json
from typing import Any

import pytest

from apps.accounts import actions
from apps.accounts.audit import audit_row, record_audits
from apps.accounts.models import ApiToken, AuditEvent, TeamUsage
from apps.accounts.permissions_table import permissions, rules
from apps.accounts.states import Role
from apps.accounts.trail import BATCH, in_words
from apps.accounts.usage import MAX_AGE, usage_of
from foundation.clock import now
from tests.authorization.table import API
from tests.support.people import People
from tests.support.tokens import secret_for

TABS = ("", "members/", "roles", "projects/", "tokens", "settings")


@pytest.mark.parametrize("persona", ["viewer", "contributor", "maintainer", "owner", "admin"])
def test_every_tab_opens_for_members(people: People, persona: str) -> None:
    client = people.client(persona)
    for tab in TABS:
        assert client.get(f"/teams/red/{tab}").status_code == 200, tab
    shown = client.get("/teams/red/").content.decode()
    assert ("Audit" in shown) is (persona in ("maintainer", "owner", "admin"))


def test_what_one_may_not_do_is_not_offered(people: People) -> None:
    page = people.client("viewer").get("/teams/red/members/").content.decode()
    assert "Invite by link" not in page
    assert "Leave" in page
    assert "New project" not in people.client("contributor").get("/teams/red/projects/").content.decode()


def test_a_plain_member_sees_only_projects_that_are_open(people: People) -> None:
    actions.create_project(actor=people.actor("owner"), slug="hidden", name="Hidden", team=people.team)
    actions.set_member(
        actor=people.actor("owner"),
        team=people.team,
        username="viewer",
        role="member",
        projects={"shop": "viewer"},
    )
    client = people.client("viewer")
    for tab in ("", "projects/"):
        page = client.get(f"/teams/red/{tab}").content.decode()
        assert "Shop" in page
        assert "Hidden" not in page
    assert people.api("viewer").get("/api/v1/teams/red/usage").json()["projects"][0]["project"] == "shop"


def fill(people: People, members: int, rows: int) -> None:
    from apps.accounts.models import Membership, User

    users = User.objects.bulk_create(User(username=f"person{n:03d}") for n in range(members))
    Membership.objects.bulk_create(
        Membership(team=people.team, user=user, role=Role.VIEWER) for user in users
    )
    record_audits(
        audit_row(
            actor=people.actor("owner"),
            action=f"thing{n % 7}.create",
            project=people.project,
            subject_kind="thing",
            subject_id=str(n),
            subject_title=f"thing {n}",
        )
        for n in range(rows)
    )


@pytest.mark.parametrize(
    ("tab", "most"),
    [("", 22), ("members/", 14), ("projects/", 14), ("tokens", 12), ("audit", 14), ("roles", 10)],
)
def test_a_full_team_costs_no_more_queries(
    people: People, tab: str, most: int, django_assert_max_num_queries: Any
) -> None:
    fill(people, members=50, rows=300)
    for user in ("viewer", "owner"):
        for _ in range(5):
            secret_for(people.users[user])
    for n in range(8):
        actions.create_project(actor=people.actor("owner"), slug=f"more-{n}", team=people.team)
    client = people.client("owner")
    client.get(f"/teams/red/{tab}")
    with django_assert_max_num_queries(most):
        page = client.get(f"/teams/red/{tab}")
    assert len(page.content) < 100_000


# ---- roles -------------------------------------------------------------------------------------------------


def test_the_table_of_roles_is_what_the_views_enforce() -> None:
    rank = {
        "viewer": Role.VIEWER,
        "contributor": Role.CONTRIBUTOR,
        "maintainer": Role.MAINTAINER,
        "owner": Role.OWNER,
    }
    told = {
        (f"api/v1/{rule.route}", rule.method): max(rule.role, Role.VIEWER, key=lambda r: r.rank)
        for rule in rules()
    }
    told.pop(("api/v1/projects", "POST"))
    tested = {
        (route, method): rank[level] for route, methods in API.items() for method, level in methods.items()
    }
    assert {key: role for key, role in told.items() if tested.get(key) is not role} == {}
    assert sorted(set(tested) - set(told)) == []


def test_the_table_of_roles_has_a_row_for_each_area() -> None:
    rows = permissions()
    assert {"Team", "Project", "Data", "Training", "Models", "Serving", "Watching"} <= {
        row.area for row in rows
    }
    deploy = next(row for row in rows if row.text.startswith("Deploy"))
    assert (deploy.allows(Role.MAINTAINER), deploy.allows(Role.CONTRIBUTOR)) == (True, False)


def test_the_table_of_roles_is_on_its_page_and_in_rest(people: People) -> None:
    page = people.client("viewer").get("/teams/red/roles").content.decode()
    rows = people.api("viewer").get("/api/v1/roles").json()["results"]
    assert len(rows) == len(permissions())
    assert all(row["area"] in page for row in rows)


# ---- tokens ------------------------------------------------------------------------------------------------


def test_maintainers_see_and_end_everybodys_tokens(people: People) -> None:
    secret_for(people.contributor)
    secret_for(people.stranger)
    token = ApiToken.objects.get(user=people.contributor)
    assert b"contributor" not in people.client("viewer").get("/teams/red/tokens").content
    client = people.client("maintainer")
    page = client.get("/teams/red/tokens").content.decode()
    assert token.prefix in page
    assert "stranger" not in page
    assert people.client("viewer").post(f"/teams/red/tokens/{token.pk}/revoke").status_code == 404
    assert client.post(f"/teams/red/tokens/{token.pk}/revoke").status_code == 302
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert token.prefix not in client.get("/teams/red/tokens").content.decode()
    assert token.prefix in client.get("/teams/red/tokens?state=all").content.decode()


def test_a_token_of_another_team_is_out_of_reach(people: People) -> None:
    secret_for(people.stranger)
    token = ApiToken.objects.get(user=people.stranger)
    assert people.client("owner").post(f"/teams/red/tokens/{token.pk}/revoke").status_code == 404
    assert people.api("owner").delete(f"/api/v1/teams/red/tokens/{token.pk}").status_code == 404


# ---- projects and settings ---------------------------------------------------------------------------------


def test_an_owner_trashes_and_restores_projects_from_the_list(people: People) -> None:
    owner = people.client("owner")
    assert people.client("maintainer").post("/teams/red/projects/shop/trash").status_code == 403
    assert owner.post("/teams/red/projects/else/trash").status_code == 404
    assert owner.post("/teams/red/projects/shop/trash").status_code == 302
    assert b"In the trash since" in owner.get("/teams/red/projects/").content
    assert owner.post("/teams/red/projects/shop/restore").status_code == 302
    assert owner.get("/p/shop/").status_code == 200


def test_a_project_is_not_moved_through_another_team(people: People) -> None:
    answer = people.client("admin").post("/teams/red/projects/else/trash")
    assert answer.status_code == 404
    assert people.api("stranger").get("/api/v1/projects/else").status_code == 200


def test_owners_rename_and_describe_the_team(people: People) -> None:
    owner = people.client("owner")
    assert owner.post("/teams/red/settings", {"name": " ", "description": ""}).status_code == 422
    assert owner.post("/teams/red/settings", {"name": "Reds", "description": "We"}).status_code == 302
    assert b"Reds" in owner.get("/teams/red/").content
    assert people.client("maintainer").post("/teams/red/settings", {"name": "x"}).status_code == 403


# ---- usage -------------------------------------------------------------------------------------------------


def test_what_is_used_is_measured_and_kept_for_a_while(people: People) -> None:
    from apps.jobs.models import Job, JobAttempt

    first = usage_of(people.team, [people.project])
    job = Job.objects.create(kind="test.nothing", where="platform", project=people.project, title="t")
    JobAttempt.objects.create(job=job, number=1, worker="w", started_at=now(), cpu_seconds=12.5)
    assert usage_of(people.team, [people.project]).at == first.at
    TeamUsage.objects.update(at=now() - MAX_AGE - datetime.timedelta(seconds=1))
    again = usage_of(people.team, [people.project])
    assert again.at > first.at
    assert {gauge.key: value for gauge, value in again.totals}["cpu"] == 12.5
    answer = people.api("viewer").get("/api/v1/teams/red/usage").json()
    assert (answer["totals"]["cpu"], answer["running"]) == (12.5, 1)
    assert set(answer["totals"]) == {"datasets", "environments", "models", "artifacts", "inferences", "cpu"}


# ---- the audit trail ---------------------------------------------------------------------------------------


def found(people: People, query: str) -> list[str]:
    rows = people.api("maintainer").get(f"/api/v1/teams/red/audit?{query}").json()["results"]
    return [row["action"] for row in rows]


def test_the_trail_is_filtered(people: People) -> None:
    secret_for(people.viewer, project=people.project)
    today = now().date()
    assert found(people, "action=token") == ["token.create"]
    assert found(people, "action=tok") == []
    assert set(found(people, "actor=owner")) == {"team.create", "member.set", "project.create"}
    assert set(found(people, "project=shop")) == {"project.create", "token.create"}
    assert set(found(people, "kind=user")) == {"member.set"}
    assert found(people, f"object={people.project.pk}") == ["project.create"]
    assert found(people, f"until={today - datetime.timedelta(days=1)}") == []
    assert found(people, f"since={today}&action=team") == ["team.create"]
    assert found(people, "q=SHOP") == ["project.create"]
    assert found(people, "q=member.set maintainer") == ["member.set"]
    assert found(people, "q=%25%5F") == []


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "until=2026-13-40",
        "since=2026-02-02&until=2026-01-01",
        "q=" + "x" * 201,
        "actor=a%00b",
        "since=999999-01-01",
    ],
)
def test_an_odd_filter_is_a_sentence(people: People, query: str) -> None:
    answer = people.api("owner").get(f"/api/v1/teams/red/audit?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "audit.filter")
    page = people.client("owner").get(f"/teams/red/audit?{query}")
    assert page.status_code == 422
    assert answer.json()["error"]["message"] in page.content.decode().replace("&#x27;", "'")
    assert people.client("owner").get(f"/teams/red/audit/export?{query}").status_code == 422


def test_pages_of_the_trail_follow_one_another(people: People) -> None:
    fill(people, members=0, rows=120)
    client = people.client("maintainer")
    seen: list[str] = []
    url: str | None = "/teams/red/audit?action=thing3"
    while url:
        listing = client.get(url).context["listing"]
        seen += [event.subject_title for event in listing.rows]
        url = listing.next_url
    assert len(seen) == len(set(seen)) == 17


def body(answer: Any) -> str:
    return b"".join(answer.streaming_content).decode()


def test_the_export_holds_every_row_of_the_filter(people: People) -> None:
    fill(people, members=0, rows=BATCH + 50)
    client = people.client("maintainer")
    answer = client.get("/teams/red/audit/export?as=jsonl&kind=thing")
    lines = [json.loads(line) for line in body(answer).splitlines()]
    assert len({line["subject_id"] for line in lines}) == len(lines) == BATCH + 50
    assert [line["at"] for line in lines] == sorted((line["at"] for line in lines), reverse=True)
    table = list(csv.DictReader(io.StringIO(body(client.get("/teams/red/audit/export?action=thing0")))))
    assert {row["action"] for row in table} == {"thing0.create"}
    assert AuditEvent.objects.filter(action="audit.export").count() == 2
    assert client.get("/teams/red/audit/export?as=xlsx").status_code == 422


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ({"role": "viewer", "before": None}, "role viewer; before –"),
        ({"projects": {"shop": "viewer"}, "names": ["a", "b"]}, "projects shop viewer; names a, b"),
        ({"cancel": True}, "cancel yes"),
        ({}, ""),
    ],
)
def test_a_detail_is_told_in_words(detail: dict[str, Any], words: str) -> None:
    assert in_words(detail) == words


def test_the_export_runs_no_formula(people: People) -> None:
    for title in ("=1+1", "+1", "-1", "@x", "\tx", "plain"):
        record_audits(
            [
                audit_row(
                    actor=people.actor("owner"), action="bad.title", team=people.team, subject_title=title
                )
            ]
        )
    answer = people.api("owner").get("/api/v1/teams/red/audit/export?action=bad")
    titles = {row["subject_title"] for row in csv.DictReader(io.StringIO(body(answer)))}
    assert titles == {"'=1+1", "'+1", "'-1", "'@x", "'\tx", "plain"}


@pytest.mark.parametrize(("persona", "status"), [("contributor", 403), ("viewer", 403), ("stranger", 404)])
def test_the_trail_is_for_maintainers(people: People, persona: str, status: int) -> None:
    for url in ("/teams/red/audit", "/teams/red/audit/export"):
        assert people.client(persona).get(url).status_code == status
    assert people.api(persona).get("/api/v1/teams/red/audit/export").status_code == status
