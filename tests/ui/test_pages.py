"""Sign-in, account, teams, projects, home, patterns and error pages, as personas see them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from apps.accounts.models import ApiToken, Membership, Project
from foundation.ui.patterns import PARTS

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("part", [key for key, _ in PARTS])
def test_patterns_shows_every_component_to_anybody(client: Client, part: str) -> None:
    response = client.get("/patterns" if part == "foundations" else f"/patterns/{part}")
    assert response.status_code == 200
    assert len(response.content) < 100_000


def test_an_unknown_part_of_patterns_is_not_found(client: Client) -> None:
    assert client.get("/patterns/nope").status_code == 404


def test_a_stranger_to_the_studio_is_sent_to_sign_in_and_back(people: Any) -> None:
    client = people.client("anonymous")
    response = client.get("/p/shop/?tab=1")
    assert response.status_code == 302
    assert response["Location"].startswith("/login?next=/p/shop/")


def test_signing_in_leads_to_the_page_that_was_asked_for(people: Any) -> None:
    people.viewer.set_password("correct horse battery")
    people.viewer.save()
    client = Client()
    answer = client.post(
        "/login", {"username": "viewer", "password": "correct horse battery", "next": "/p/shop/"}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/p/shop/")


def test_signing_in_never_leads_away_from_the_studio(people: Any) -> None:
    people.viewer.set_password("correct horse battery")
    people.viewer.save()
    answer = Client().post(
        "/login?next=//evil.example", {"username": "viewer", "password": "correct horse battery"}
    )
    assert answer["Location"] == "/"


def test_a_wrong_password_is_refused_without_saying_which_part_is_wrong(people: Any) -> None:
    answer = Client().post("/login", {"username": "viewer", "password": "wrong"})
    other = Client().post("/login", {"username": "nobody-at-all", "password": "wrong"})
    assert answer.status_code == other.status_code == 422
    sentence = "do not belong together"
    assert sentence in answer.content.decode()
    assert sentence in other.content.decode()


def test_guessing_is_slowed_down(people: Any) -> None:
    client = Client()
    statuses = [client.post("/login", {"username": "viewer", "password": "x"}).status_code for _ in range(12)]
    assert statuses[0] == 422
    assert statuses[-1] == 429


@pytest.mark.parametrize("name", ["a\x00b", "x" * 151, ""])
def test_an_odd_name_is_refused_in_a_sentence(people: Any, name: str) -> None:
    answer = Client().post("/login", {"username": name, "password": "x"})
    assert answer.status_code == 422


def test_signing_out_ends_the_session(people: Any) -> None:
    client = people.client("viewer")
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").status_code == 302
    assert client.get("/account/").status_code == 302


def test_a_new_token_is_shown_once_and_works(people: Any) -> None:
    client = people.client("viewer")
    made = client.post("/account/", {"name": "laptop", "scope": "read", "project": "", "days": "30"})
    assert made.status_code == 201
    (secret,) = set(re.findall(r"atl_[A-Za-z0-9]{40}", made.content.decode()))
    again = client.get("/account/").content.decode()
    assert "laptop" in again
    assert secret not in again
    me = Client().get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"})
    assert me.json()["username"] == "viewer"


def test_a_token_can_be_revoked_by_its_owner_only(people: Any) -> None:
    people.client("viewer").post("/account/", {"name": "laptop", "scope": "read", "days": ""})
    token = ApiToken.objects.get(name="laptop")
    assert people.client("contributor").post(f"/account/tokens/{token.pk}/revoke").status_code == 404
    assert people.client("viewer").post(f"/account/tokens/{token.pk}/revoke").status_code == 302
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_a_token_cannot_be_bound_to_somebody_elses_project(people: Any) -> None:
    answer = people.client("viewer").post(
        "/account/", {"name": "x", "scope": "read", "project": str(people.other_project.pk), "days": "30"}
    )
    assert answer.status_code == 422


def test_changing_the_password_keeps_this_session(people: Any) -> None:
    people.viewer.set_password("correct horse battery")
    people.viewer.save()
    client = people.client("viewer")
    new = "an even longer pass phrase"
    data = {"old_password": "correct horse battery", "new_password1": new, "new_password2": new}
    assert client.post("/account/password", {**data, "old_password": "wrong"}).status_code == 422
    assert client.post("/account/password", data).status_code == 302
    assert client.get("/account/").status_code == 200


def test_an_owner_adds_and_removes_members(people: Any) -> None:
    owner = people.client("owner")
    url = f"/teams/{people.team.slug}/members/"
    assert owner.post(f"{url}new/add", {"username": "stranger", "role": "viewer"}).status_code == 302
    assert Membership.objects.filter(team=people.team, user=people.stranger).exists()
    assert owner.post(f"{url}stranger/remove").status_code == 302
    assert not Membership.objects.filter(team=people.team, user=people.stranger).exists()


def test_an_unknown_account_is_named_in_the_form(people: Any) -> None:
    answer = people.client("owner").post(
        f"/teams/{people.team.slug}/members/new/add", {"username": "ghost", "role": "viewer"}
    )
    assert answer.status_code == 404
    assert "There is no account" in answer.content.decode()


@pytest.mark.parametrize(("persona", "status"), [("contributor", 403), ("viewer", 403), ("stranger", 404)])
def test_only_an_owner_changes_members(people: Any, persona: str, status: int) -> None:
    client = people.client(persona)
    url = f"/teams/{people.team.slug}/members/"
    assert client.post(f"{url}new/add", {"username": "viewer", "role": "owner"}).status_code == status
    assert client.post(f"{url}viewer/", {"role": "owner"}).status_code == status
    assert client.post(f"{url}maintainer/remove").status_code == status


def test_a_team_can_be_made(people: Any) -> None:
    client = people.client("stranger")
    assert client.post("/teams/new", {"name": "New", "slug": "Bad Slug"}).status_code == 422
    assert client.post("/teams/new", {"name": "New", "slug": "new-team"}).status_code == 302
    assert client.get("/teams/new-team/").status_code == 200


def test_the_list_shows_only_projects_one_may_see(people: Any) -> None:
    page = people.client("viewer").get("/").content.decode()
    assert people.project.name in page
    assert f"/p/{people.other_project.slug}/" not in page


def test_a_project_can_be_made_and_a_taken_name_is_named(people: Any) -> None:
    client = people.client("maintainer")
    data = {
        "name": "Second",
        "slug": "second",
        "team": str(people.team.pk),
        "description": "",
        "timezone": "Europe/Berlin",
    }
    assert client.post("/projects/new", data).status_code == 302
    assert Project.objects.filter(slug="second", timezone="Europe/Berlin").exists()
    taken = client.post("/projects/new", data)
    assert taken.status_code == 422
    assert "is or was in use" in taken.content.decode()


@pytest.mark.parametrize("persona", ["owner", "maintainer", "contributor", "viewer"])
def test_the_home_of_an_empty_project_shows_the_way(people: Any, persona: str) -> None:
    page = people.client(persona).get(f"/p/{people.project.slug}/")
    assert page.status_code == 200
    assert "Upload a dataset" in page.content.decode()
    assert people.client(persona).get(f"/p/{people.project.slug}/live").status_code == 200


def test_the_home_is_not_there_for_a_stranger(people: Any) -> None:
    page = people.client("stranger").get(f"/p/{people.project.slug}/")
    assert page.status_code == 404
    assert people.project.name not in page.content.decode()


def test_settings_are_changed_by_maintainers(people: Any) -> None:
    url = f"/p/{people.project.slug}/settings"
    data = {"name": "Renamed", "description": "", "timezone": "Europe/Berlin"}
    assert people.client("contributor").post(url, data).status_code == 403
    assert people.client("contributor").get(url).status_code == 200
    assert people.client("maintainer").post(url, {**data, "timezone": "Mars/Base"}).status_code == 422
    assert people.client("maintainer").post(url, data).status_code == 302
    people.project.refresh_from_db()
    assert people.project.name == "Renamed"


def test_only_an_owner_moves_a_project_to_the_trash(people: Any) -> None:
    url = f"/p/{people.project.slug}/settings/trash"
    assert people.client("maintainer").post(url).status_code == 403
    assert people.client("owner").post(url).status_code == 302
    assert people.client("viewer").get(f"/p/{people.project.slug}/").status_code == 404


def test_an_error_page_says_what_and_how_to_refer_to_it(people: Any) -> None:
    response = people.client("viewer").get("/nothing/here")
    page = response.content.decode()
    assert response.status_code == 404
    assert response["X-Request-ID"] in page
    assert "Traceback" not in page


def test_a_page_keeps_to_the_strict_policy(people: Any) -> None:
    response = people.client("viewer").get("/")
    policy = response["Content-Security-Policy"]
    assert "unsafe" not in policy
    (nonce,) = re.findall(r"'nonce-([^']+)'", policy)[:1]
    scripts = re.findall(r"<script\b[^>]*>", response.content.decode())
    assert scripts
    assert all(f'nonce="{nonce}"' in tag for tag in scripts)


@pytest.mark.parametrize(
    ("cookie", "expected"), [("dark", 'data-theme="dark"'), ("light", 'data-theme="light"')]
)
def test_the_theme_is_in_the_first_byte(client: Client, cookie: str, expected: str) -> None:
    client.cookies["theme"] = cookie
    assert expected in client.get("/patterns").content.decode()


def test_an_odd_theme_cookie_is_ignored(client: Client) -> None:
    client.cookies["theme"] = '"><script>'
    page = client.get("/patterns").content.decode()
    assert "data-theme=" not in page.partition("<head>")[0]


def test_plotly_is_served_out_of_its_package() -> None:
    from django.contrib.staticfiles import finders

    assert str(finders.find("vendor/plotly.min.js")).endswith("plotly.min.js")
    assert finders.find("vendor/../plotly.min.js") is None


def test_a_form_from_elsewhere_is_refused_in_a_sentence(people: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.viewer)
    page = client.post("/teams/new", {"name": "x", "slug": "xx"})
    assert page.status_code == 403
    assert "reload the page" in page.content.decode()
    answer = client.post("/api/nothing", {})
    assert answer.headers["Content-Type"] == "application/json"


def test_a_missing_database_is_a_503_in_a_sentence(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.contrib.sessions.backends.db import SessionStore
    from django.db import OperationalError

    def gone(self: Any) -> dict[str, Any]:
        raise OperationalError("connection refused")

    client.cookies[settings.SESSION_COOKIE_NAME] = "whatever"
    client.raise_request_exception = False
    monkeypatch.setattr(SessionStore, "load", gone)
    page = client.get("/")
    assert page.status_code == 503
    assert "Retry-After" in page
    assert "not available" in page.content.decode()
    assert "refused" not in page.content.decode()


def test_a_form_that_is_too_large_is_a_413_in_a_sentence(people: Any) -> None:
    page = people.client("owner").post("/p/shop/settings", {"name": "x" * (9 * 2**20)})
    assert page.status_code == 413
    assert "larger than this address accepts" in page.content.decode()


def test_the_address_of_a_form_says_so_when_it_is_opened(people: Any) -> None:
    page = people.client("owner").get("/p/shop/settings/trash")
    assert page.status_code == 405
    assert page["Allow"] == "POST"
    assert "Nothing was changed." in page.content.decode()


def test_our_own_bug_is_a_500_with_a_reference(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from atelier.home import views

    def broken(*args: Any) -> dict[str, Any]:
        raise RuntimeError("a secret detail")

    client.raise_request_exception = False
    monkeypatch.setattr(views, "patterns_context", broken)
    page = client.get("/patterns")
    assert page.status_code == 500
    assert page["X-Request-ID"] in page.content.decode()
    assert "secret detail" not in page.content.decode()


def test_our_files_carry_a_version_and_may_be_kept_for_ever(client: Client) -> None:
    page = client.get("/patterns").content.decode()
    links = re.findall(r'(?:href|src)="(/static/(?:css|js)/[^"]+)"', page)
    assert len(links) >= 8
    assert all(re.search(r"\?v=[0-9a-f]{10}$", link) for link in links)
    kept = client.get(links[0])
    assert "immutable" in kept["Cache-Control"]
