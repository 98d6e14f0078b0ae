"""List pages: sort, filter and keyset pages in the URL."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory

from apps.accounts.models import Team
from foundation.ui.listing import list_page, url_with

pytestmark = pytest.mark.django_db
ORDERS = {"name": "name", "about": "description", "created": "created_at"}


@pytest.fixture
def teams() -> list[Team]:
    return [
        Team.objects.create(slug=f"team-{n:02}", name=f"Team {n:02}", description="ab"[n % 2])
        for n in range(23)
    ]


def walk(url: str, **options: Any) -> list[str]:
    found: list[str] = []
    while url:
        listing = list_page(
            RequestFactory().get(url),
            Team.objects.filter(slug__startswith="team-"),
            orders=ORDERS,
            limit=5,
            **options,
        )
        found += [team.name for team in listing.rows]
        url = listing.next_url or ""
    return found


@pytest.mark.parametrize("order", ["name", "-name", "about", "-about", "created", "-created"])
def test_the_pages_together_hold_every_row_once(teams: list[Team], order: str) -> None:
    found = walk(f"/x?order_by={order}", default="name")
    assert sorted(found) == [team.name for team in teams]
    if order.endswith("name"):
        assert found == sorted(found, reverse=order.startswith("-"))


def test_an_unknown_order_falls_back_to_the_default(teams: list[Team]) -> None:
    assert walk("/x?order_by=password", default="-name")[0] == "Team 22"


@pytest.mark.parametrize("cursor", ["!!", "bm90IGpzb24", "W10", "eyJhIjoxfQ"])
def test_a_damaged_cursor_shows_the_first_page(teams: list[Team], cursor: str) -> None:
    assert walk(f"/x?cursor={cursor}", default="name")[0] == "Team 00"


def test_a_filter_makes_the_listing_filtered(teams: list[Team]) -> None:
    def filtered(url: str) -> bool:
        return list_page(
            RequestFactory().get(url), Team.objects.all(), orders=ORDERS, default="name"
        ).filtered

    assert filtered("/x?q=a")
    assert not filtered("/x?q=&order_by=name")


def test_a_url_keeps_the_other_parameters() -> None:
    request = RequestFactory().get("/x?q=a&order_by=name")
    assert url_with(request, order_by=None, page=2) == "/x?q=a&page=2"
