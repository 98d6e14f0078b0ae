"""The fixed personas of permission tests, their project, and clients that act as them.

- `people`: admin, owner, maintainer, contributor, viewer (of one team with the project `shop`), stranger (of
  another team with the project `else`). MLflow's tables are replaced by the fake twin.
- `people.client(name)`: Django's test client signed in as that persona;
- `people.api(name, scope="write")`: REST framework's client with a token; `api("anonymous")` has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.tokens import secret_for

NAMES = ("admin", "owner", "maintainer", "contributor", "viewer", "stranger")


@dataclass
class People:
    """Who is who."""

    users: dict[str, Any]
    team: Any
    project: Any
    other_project: Any
    secrets: dict[tuple[str, str], str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name in NAMES:
            return self.users[name]
        raise AttributeError(name)

    def actor(self, name: str) -> Any:
        """The access layer's actor of a persona."""
        from apps.accounts.access import Actor

        return Actor(user=self.users[name])

    def client(self, name: str) -> Any:
        """A browser signed in as the persona (nobody for "anonymous")."""
        from django.test import Client

        client = Client()
        if name != "anonymous":
            client.force_login(self.users[name])
        return client

    def secret(self, name: str, scope: str = "write") -> str:
        """A token of the persona."""
        key = (name, scope)
        if key not in self.secrets:
            self.secrets[key] = secret_for(self.users[name], scope=scope)
        return self.secrets[key]

    def api(self, name: str, scope: str = "write") -> Any:
        """A REST client with a token of the persona."""
        from rest_framework.test import APIClient

        client = APIClient()
        if name != "anonymous":
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {self.secret(name, scope)}")
        return client


@pytest.fixture
def fake_tracking() -> Iterator[Any]:
    """The fake twin in place of MLflow's tables."""
    from adapters.tracking import use_tracking
    from adapters.tracking.fake import FakeTracking

    with use_tracking(FakeTracking()) as tracking:
        yield tracking


def make_people() -> People:
    """The personas in the current database, with whatever tracking is in place."""
    from apps.accounts.access import SYSTEM, Actor
    from apps.accounts.actions import create_project, create_team, create_user, set_member

    users = {
        name: create_user(actor=SYSTEM, username=name, password=None, is_superuser=name == "admin")
        for name in NAMES
    }
    owner, stranger = Actor(user=users["owner"]), Actor(user=users["stranger"])
    team = create_team(actor=owner, slug="red", name="Red team")
    for name in ("maintainer", "contributor", "viewer"):
        set_member(actor=owner, team=team, username=name, role=name)
    other_team = create_team(actor=stranger, slug="blue", name="Blue team")
    return People(
        users=users,
        team=team,
        project=create_project(actor=owner, slug="shop", name="Shop", team=team),
        other_project=create_project(actor=stranger, slug="else", name="Elsewhere", team=other_team),
    )


@pytest.fixture
def people(db: None, fake_tracking: Any) -> People:
    """The personas, with the fake tracking."""
    return make_people()


@pytest.fixture
def people_with_mlflow(mlflow_schema: Any, db: None) -> People:
    """The personas, with MLflow's real tables."""
    return make_people()
