"""The whole tour against a whole studio, twice."""

from __future__ import annotations

import re

import pytest

from tests.support.studio import Studio


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_the_tour_runs_through_and_a_second_one_finds_everything(studio: Studio, toured: str) -> None:
    assert "Verified: on 12 April NumOfProducts leads" in toured
    assert "The tour is complete" in toured
    token = studio.token()
    before = studio.call("GET", "/api/v1/projects/tour/jobs?limit=500", token=token)[1]["results"]
    second = studio.manage("tour", timeout=600)
    assert "The tour is complete" in second
    after = studio.call("GET", "/api/v1/projects/tour/jobs?limit=500", token=token)[1]["results"]
    assert len(after) == len(before)
    for link in re.findall(r"http://\S+/p/tour/\S*", toured):
        status, _ = studio.call("GET", link.removeprefix(studio.url), token=token)
        assert status == 200, link
