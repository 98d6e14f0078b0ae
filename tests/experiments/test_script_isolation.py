"""How far a script is shut in, in words."""

from __future__ import annotations

import pytest

from apps.experiments.scripts.shutting import isolation
from apps.jobs import nodes

pytestmark = pytest.mark.django_db


def test_it_tells_the_weakest_tier_of_the_workers_that_are_there() -> None:
    assert "No worker is there now" in isolation().words
    nodes.register(kind="worker", tier=3, about={"isolation": {"tier": 3, "landlock": 7}})
    assert "Isolation tier 3: it sees the system" in isolation().words
    other = nodes.register(kind="worker", tier=1)
    assert "Isolation tier 1" in isolation().words
    other.tier = 0
    other.about = {"isolation": {"tier": 0, "landlock": 4}}
    other.save()
    assert "(Landlock): it reads no other project's files" in isolation().words
    other.about = {"isolation": {"tier": 0, "landlock": 0}}
    other.save()
    assert "the studio's secrets included" in isolation().words
    assert isolation().tone == "amber"
    nodes.say_stopped(other.name)
    assert isolation().tone == "slate"
    assert "Isolation tier 3" in isolation().words
