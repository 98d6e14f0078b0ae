"""The whole REST API under requests drawn from its own OpenAPI document: every answer is one that is documented."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from tests.faults.arena import Arena, until
from tests.faults.fuzz import Fuzzer

pytestmark = [pytest.mark.fault, pytest.mark.engine]


def rage(arena: Arena, each: int) -> Counter[int]:
    """Send them; returns how often each status came. What is wrong with an answer is the checker's to say."""
    arena.with_mlflow()
    document: dict[str, Any] = arena.call("GET", "/api/schema?format=json").body
    names = {"project": "fuzz", "team": "fuzz"}
    fuzzer = Fuzzer(document, names, random.Random(arena.random.getrandbits(64)))
    statuses: Counter[int] = Counter()
    wrong: dict[str, str] = {}
    for drawn in fuzzer.draw(each):
        if drawn.method == "DELETE" and drawn.path.rstrip("/").endswith(("/projects/fuzz", "/teams/fuzz")):
            continue
        headers = {"Content-Type": drawn.content_type} if drawn.body is not None else {}
        answer = arena.call(
            drawn.method, drawn.path, drawn.body, headers=headers, token=arena.tokens["eve"], timeout=60
        )
        statuses[answer.status] += 1
        if answer.status < 300:
            fuzzer.learn(answer.text)
        if not answer.status or answer.status >= 500 or (answer.status >= 400 and not _shaped(answer.text)):
            what = f"{drawn.method} {drawn.path[:300]} → {answer.status} {answer.text[:200]}"
            wrong[drawn.operation] = f"{what}; body: {drawn.body!r:.400}"
    assert not wrong, "\n".join(wrong.values())
    return statuses


def _shaped(text: str) -> bool:
    try:
        error = json.loads(text)["error"]
        return bool(error["code"] and error["message"] and "detail" in error)
    except (ValueError, KeyError, TypeError):
        return False


def calm(arena: Arena) -> None:
    """Stop what the requests have set in motion."""

    def still() -> bool:
        rows = arena.sql(
            "select j.id from jobs_job j join accounts_project p on p.id = j.project_id "
            "where p.slug <> 'arena' and j.state in ('queued', 'starting', 'running')"
        )
        for (job,) in rows:
            arena.call("POST", f"/api/v1/projects/fuzz/jobs/{job}/cancel", token=arena.tokens["eve"])
        return not rows

    until(still)


def test_every_operation_answers_what_was_drawn_for_it(arena: Arena) -> None:
    try:
        statuses = rage(arena, 1)
    finally:
        calm(arena)
    assert sum(statuses.values()) > 150, statuses
    assert statuses[422] + statuses[400] > 10, statuses
    assert statuses[200] + statuses[201] > 5, statuses


@pytest.mark.fault("long")
@pytest.mark.timeout(3600)
def test_every_operation_answers_whatever_is_drawn_for_it(arena: Arena) -> None:
    try:
        assert sum(rage(arena, 40).values()) > 6000
    finally:
        calm(arena)
