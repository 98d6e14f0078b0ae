"""Every route is in the authorization table, and the table holds.

Personas: nobody, a stranger, viewer, contributor, maintainer, owner, an expired token, a read-only token, a
job's token. Objects need not exist: the project is checked first, so what a persona may not do ends in 401,
403, or the project's own 404 before anything else is looked at.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.accounts.models import ApiToken
from apps.accounts.tokens import issue_job_token
from foundation.clock import now
from foundation.ids import uuid7
from tests.authorization.routes import Route, all_routes
from tests.authorization.table import API, PAGES, PUBLIC, READS_BY_POST, SIGNED_IN
from tests.support.people import People
from tests.support.tokens import secret_for

RANK = {"viewer": 1, "contributor": 2, "maintainer": 3, "owner": 4}


# The project itself in the trash: these would succeed or find no trashed project; tests/accounts holds them.
SUCCEEDS = {
    ("api/v1/projects/{project}", "DELETE"),
    ("api/v1/projects/{project}/restore", "POST"),
    ("p/{project}/settings/trash", "POST"),
    ("teams/{team}/projects/{project}/trash", "POST"),
    ("teams/{team}/projects/{project}/restore", "POST"),
}


def api_calls() -> Iterator[tuple[Route, str, str]]:
    """(route, method, needed level) of the API inside projects."""
    for route in all_routes():
        for method, level in API.get(route.name, {}).items():
            if route.in_project:
                yield route, method, level


def code_of(response: Any) -> str:
    try:
        return str(json.loads(response.content)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def bearer(secret: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def test_every_route_is_in_the_table() -> None:
    known = set(API) | set(PAGES) | set(PUBLIC) | set(SIGNED_IN)
    found = {route.name for route in all_routes()}
    assert sorted(found - known) == [], "add them to tests/authorization/table.py"
    assert sorted(known - found) == [], "these routes are gone"


def test_every_method_is_in_the_table() -> None:
    wrong = {
        route.name: (route.methods, tuple(sorted(API[route.name])))
        for route in all_routes()
        if route.name in API and route.methods is not None and set(route.methods) != set(API[route.name])
    }
    assert wrong == {}


def test_nobody_is_refused(people: People) -> None:
    client = APIClient()
    wrong = [
        (method, route.name, response.status_code)
        for route, method, _ in api_calls()
        if (response := client.generic(method, route.address)).status_code != 401 or not code_of(response)
    ]
    assert wrong == []


def test_an_expired_token_is_refused(people: People) -> None:
    secret = secret_for(people.owner, days=1)
    ApiToken.objects.update(expires_at=now() - datetime.timedelta(days=1))
    client = bearer(secret)
    wrong = [
        (method, route.name, response.status_code)
        for route, method, _ in api_calls()
        if (response := client.generic(method, route.address)).status_code != 401
    ]
    assert wrong == []


def test_a_stranger_is_told_that_nothing_is_there(people: People) -> None:
    client = people.api("stranger")
    wrong = [
        (method, route.name, response.status_code, code_of(response))
        for route, method, _ in api_calls()
        if (response := client.generic(method, route.address)).status_code != 404
        or code_of(response) != "project.not_found"
    ]
    assert wrong == []


@pytest.mark.parametrize("persona", ["viewer", "contributor", "maintainer", "owner"])
def test_a_role_may_do_just_what_it_may(people: People, persona: str) -> None:
    client = people.api(persona)
    wrong = []
    for route, method, level in api_calls():
        if (route.name, method) in SUCCEEDS:
            continue
        response = client.generic(method, route.address, b"{}", content_type="application/json")
        refused = response.status_code in (401, 403)
        if refused != (RANK[persona] < RANK[level]) or response.status_code >= 500:
            wrong.append((method, route.name, level, response.status_code, code_of(response)))
    assert wrong == []


def test_a_read_only_token_changes_nothing(people: People) -> None:
    client = people.api("owner", scope="read")
    wrong = []
    for route, method, _ in api_calls():
        if route.name.endswith("{project}/restore"):
            continue
        response = client.generic(method, route.address, b"{}", content_type="application/json")
        reads = method in ("GET", "HEAD") or (route.name, method) in READS_BY_POST
        if (response.status_code == 403) == reads or (not reads and code_of(response) != "token.read_only"):
            wrong.append((method, route.name, response.status_code, code_of(response)))
    assert wrong == []


def test_a_job_acts_as_contributor_at_most(people: People) -> None:
    client = bearer(issue_job_token(user=people.owner, project=people.project, job_id=uuid7(), fence=1))
    wrong = []
    for route, method, level in api_calls():
        if (route.name, method) in SUCCEEDS:
            continue
        response = client.generic(method, route.address, b"{}", content_type="application/json")
        refused = response.status_code in (401, 403)
        if refused != (RANK[level] > RANK["contributor"]):
            wrong.append((method, route.name, level, response.status_code, code_of(response)))
    assert wrong == []


def test_pages_send_nobody_to_the_login(people: People) -> None:
    client = people.client("anonymous")
    wrong = []
    for route in all_routes():
        if route.name not in PAGES:
            continue
        for method in ("GET", "POST"):
            response = client.generic(method, route.address)
            to_login = response.status_code == 302 and response["Location"].startswith("/login")
            if not to_login and response.status_code != 405:
                wrong.append((method, route.name, response.status_code))
    assert wrong == []


def test_pages_of_a_project_do_not_exist_for_strangers(people: People) -> None:
    client = people.client("stranger")
    wrong = []
    for route in all_routes():
        if route.name not in PAGES or not (route.in_project or "{team}" in route.name):
            continue
        for method in ("GET", "POST"):
            response = client.generic(method, route.address)
            hidden = response.status_code == 404 and b"or it is not yours" in response.content
            if not hidden and response.status_code != 405:
                wrong.append((method, route.name, response.status_code))
    assert wrong == []


@pytest.mark.parametrize("persona", ["viewer", "contributor", "maintainer", "owner"])
def test_pages_follow_the_role(people: People, persona: str) -> None:
    client = people.client(persona)
    wrong = []
    for route in all_routes():
        for method, level in PAGES.get(route.name, {}).items():
            if (route.name, method) in SUCCEEDS:
                continue
            response = client.generic(method, route.address)
            refused = response.status_code == 403
            if refused != (RANK[persona] < RANK[level]) or response.status_code >= 500:
                wrong.append((method, route.name, level, response.status_code))
    assert wrong == []


def test_everything_else_needs_somebody(people: People) -> None:
    wrong = []
    client = APIClient()
    for route in all_routes():
        if route.name in SIGNED_IN:
            response = client.get(route.address)
            if response.status_code not in (401, 302, 405):
                wrong.append((route.name, response.status_code))
    assert wrong == []
