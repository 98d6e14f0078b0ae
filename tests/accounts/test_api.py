"""REST of accounts: identity, teams, members, tokens, audit, projects, and the shape of every error."""

from __future__ import annotations

import base64

import pytest
from rest_framework.test import APIClient

from apps.accounts.models import ApiToken
from tests.support.people import People
from tests.support.tokens import secret_for

NOT_MINE = (
    "/api/v1/projects/shop",
    "/api/v1/teams/red",
    "/api/v1/teams/red/members",
    "/api/v1/teams/red/audit",
)


def error_of(response) -> dict:  # type: ignore[no-untyped-def, type-arg]
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "detail", "request_id"}
    assert body["error"]["message"].endswith((".", "?", "!"))
    assert body["error"]["request_id"]
    return body["error"]  # type: ignore[no-any-return]


def test_me_says_who_calls(people: People) -> None:
    body = people.api("contributor").get("/api/v1/me").json()
    assert body["username"] == "contributor"
    assert body["teams"] == [{"slug": "red", "name": "Red team", "role": "contributor"}]


def test_basic_carries_a_token_as_password(people: People) -> None:
    from rest_framework.test import APIClient

    pair = base64.b64encode(f"anything:{people.secret('viewer')}".encode()).decode()
    response = APIClient().get("/api/v1/me", HTTP_AUTHORIZATION=f"Basic {pair}")
    assert response.json()["username"] == "viewer"


def test_a_browser_session_works_too(people: People) -> None:
    assert people.client("viewer").get("/api/v1/me").json()["username"] == "viewer"


def test_a_session_needs_the_csrf_token(people: People) -> None:
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(people.owner)
    response = client.post("/api/v1/projects", {"slug": "third"}, content_type="application/json")
    assert response.status_code == 403
    assert error_of(response)["code"] == "forbidden"


@pytest.mark.parametrize("header", ["", "Bearer atl_wrong", "Basic !!!", "Digest x", "Bearer "])
def test_nobody_gets_401_in_the_error_shape(people: People, header: str) -> None:
    from rest_framework.test import APIClient

    client = APIClient()
    if header:
        client.credentials(HTTP_AUTHORIZATION=header)
    response = client.get("/api/v1/me")
    assert response.status_code == 401
    assert "Bearer" in response["WWW-Authenticate"]
    error_of(response)


@pytest.mark.parametrize("path", NOT_MINE)
def test_a_stranger_gets_404(people: People, path: str) -> None:
    response = people.api("stranger").get(path)
    assert response.status_code == 404
    assert error_of(response)["code"].endswith("not_found")


def test_an_unknown_address_is_a_json_404(people: People) -> None:
    for path in ("/api", "/api/v1/nothing", "/api/v2/me", "/api/v1/projects/shop/nothing"):
        response = people.api("owner").get(path)
        assert response.status_code == 404
        error_of(response)


def test_malformed_json_is_400(people: People) -> None:
    response = people.api("owner").generic(
        "POST", "/api/v1/projects", b'{"slug": ', content_type="application/json"
    )
    assert response.status_code == 400
    assert error_of(response)["code"] == "request.malformed"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_trailing_slash_is_optional(people: People, slash: str) -> None:
    assert people.api("owner").get(f"/api/v1/projects/shop{slash}").status_code == 200


def test_a_project_is_made_found_changed_trashed_and_restored(people: People) -> None:
    api = people.api("owner")
    made = api.post("/api/v1/projects", {"slug": "churn", "name": "Churn", "timezone": "Europe/Berlin"})
    assert made.status_code == 201
    assert made.json()["team"] == "red"
    assert api.post("/api/v1/projects", {"slug": "churn"}).status_code == 409
    assert [p["slug"] for p in api.get("/api/v1/projects?q=chu").json()["results"]] == ["churn"]
    got = api.get("/api/v1/projects/churn")
    changed = api.patch("/api/v1/projects/churn", {"name": "Bank churn"}, HTTP_IF_MATCH=got["ETag"])
    assert changed.json()["name"] == "Bank churn"
    stale = api.patch("/api/v1/projects/churn", {"name": "x"}, HTTP_IF_MATCH=got["ETag"])
    assert stale.status_code == 409
    assert error_of(stale)["code"] == "stale"
    assert api.delete("/api/v1/projects/churn").status_code == 204
    assert api.get("/api/v1/projects/churn").status_code == 404
    assert api.post("/api/v1/projects/churn/restore").status_code == 200
    assert api.get("/api/v1/projects/churn").status_code == 200


def test_a_list_is_paged_by_cursor(people: People) -> None:
    api = people.api("admin")
    first = api.get("/api/v1/projects?limit=1&order_by=slug").json()
    assert [p["slug"] for p in first["results"]] == ["else"]
    second = api.get(first["next"]).json()
    assert [p["slug"] for p in second["results"]] == ["shop"]
    assert second["next"] is None
    for bad in ("limit=0", "limit=501", "limit=x", "order_by=password", "cursor=zzz"):
        response = api.get(f"/api/v1/projects?{bad}")
        assert response.status_code == 422, bad
        error_of(response)


def test_members_are_managed_by_owners_only(people: People) -> None:
    body = {"username": "stranger", "role": "viewer"}
    assert people.api("maintainer").post("/api/v1/teams/red/members", body).status_code == 403
    assert people.api("owner").post("/api/v1/teams/red/members", body).status_code == 201
    assert people.api("stranger").get("/api/v1/projects/shop").status_code == 200
    assert people.api("owner").delete("/api/v1/teams/red/members/stranger").status_code == 204
    assert people.api("stranger").get("/api/v1/projects/shop").status_code == 404


def test_a_token_is_shown_once_and_can_be_revoked(people: People) -> None:
    api = people.api("viewer")
    made = api.post("/api/v1/teams/red/tokens", {"name": "laptop", "scope": "read", "days": 7}).json()
    assert made["secret"].startswith("atl_")
    listed = api.get("/api/v1/teams/red/tokens").json()["results"]
    assert all("secret" not in token for token in listed)
    assert made["id"] in [token["id"] for token in listed]
    assert people.api("contributor").delete(f"/api/v1/teams/red/tokens/{made['id']}").status_code == 404
    assert people.api("owner").delete(f"/api/v1/teams/red/tokens/{made['id']}").status_code == 204
    assert ApiToken.objects.get(pk=made["id"]).revoked_at is not None


def test_a_field_that_does_not_exist_is_named(people: People) -> None:
    for url in ("/api/v1/projects/shop", "/api/v1/teams/red"):
        answer = people.api("owner").patch(url, {"slug": "other"}, format="json")
        assert (answer.status_code, error_of(answer)["code"]) == (422, "request.unknown_field")


def test_a_token_made_with_a_token_does_not_outlive_it(people: People) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret_for(people.owner, days=2)}")
    made = client.post("/api/v1/teams/red/tokens", {"name": "for ever"}, format="json").json()
    maker = ApiToken.objects.exclude(pk=made["id"]).get()
    assert ApiToken.objects.get(pk=made["id"]).expires_at == maker.expires_at is not None


def test_the_audit_trail_is_for_maintainers(people: People) -> None:
    assert people.api("contributor").get("/api/v1/teams/red/audit").status_code == 403
    rows = people.api("maintainer").get("/api/v1/teams/red/audit?action=project.").json()["results"]
    assert [row["action"] for row in rows] == ["project.create"]
    assert rows[0]["project"] == "shop"


def test_a_nul_byte_is_refused_with_a_sentence(people: People) -> None:
    response = people.api("owner").post("/api/v1/projects", {"slug": "zero", "name": "a\x00b"})
    assert response.status_code == 422
    error_of(response)


def test_health_and_schema_are_public(people: People) -> None:
    from django.test import Client

    assert Client().get("/healthz").status_code == 200
    ready = Client().get("/readyz")
    assert ready.status_code in (200, 503)
    assert ready.json()["components"]["database"] == "ready"
    schema = Client().get("/api/schema")
    assert schema.status_code == 200
    assert b"openapi: 3.1" in schema.content
