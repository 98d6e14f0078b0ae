"""Runs the stories side by side and tells of each step with a link."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from atelier.tour import stories, teamwork
from atelier.tour.client import Client, TourError
from atelier.tour.loop import Loop

PROJECT = "tour"
ZONE = "Europe/Berlin"
STORIES = {
    "tumours": stories.tumours,
    "bank": stories.bank,
    "stock client": stories.stock_client,
    "study": teamwork.study,
    "pipeline": teamwork.pipeline,
    "member": teamwork.colleague,
}


def run_tour(*, url: str, token: str, write: Callable[[str], None]) -> float:
    """Run the whole tour against the studio at `url`; returns the seconds it took.

    Everything goes through the public interfaces. A second run finds what is there and completes what is missing.
    Raises TourError with a sentence when a step does not come out as it must.
    """
    began = time.monotonic()
    client = Client(url.rstrip("/"), token, PROJECT)
    lock = threading.Lock()

    def teller(story: str) -> Callable[[str, str], None]:
        def say(text: str, link: str) -> None:
            with lock:
                write(f"  {time.monotonic() - began:5.1f} s  {story:<12}  {text}\n{'':25}{link}")

        return say

    make_project(client)
    teller("project")("The project Tour", client.page(""))
    with (
        tempfile.TemporaryDirectory(prefix="atelier-tour-") as name,
        ThreadPoolExecutor(len(STORIES)) as pool,
    ):
        futures = [
            pool.submit(story, Loop(client, teller(title)), _folder(Path(name), title))
            for title, story in STORIES.items()
        ]
        errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, TourError):
            raise error
    if errors:
        raise TourError(" ".join(str(error) for error in errors))
    return time.monotonic() - began


def _folder(parent: Path, title: str) -> Path:
    folder = parent / title.replace(" ", "-")
    folder.mkdir()
    return folder


def make_project(client: Client) -> None:
    """The project of the tour, in the first team of the account that guides it.

    Raises TourError when its name is taken by a project in the trash, or the account is in no team.
    """
    path = f"/api/v1/projects/{PROJECT}"
    if client.find(path) is not None:
        return
    teams = sorted(client.get("/api/v1/teams")["results"], key=lambda team: str(team["created_at"]))
    if not teams:
        raise TourError("The project of the tour needs a team, and this account is in none.")
    body = {
        "slug": PROJECT,
        "team": teams[0]["slug"],
        "name": "Tour",
        "timezone": ZONE,
        "description": "Made by the tour: real data through the whole loop, and a bank whose customers change.",
    }
    try:
        client.post("/api/v1/projects", body)
    except TourError as error:
        raise TourError(f"The project of the tour cannot be made. {error}") from error
