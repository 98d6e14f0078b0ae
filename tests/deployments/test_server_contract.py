"""One contract for model servers: the real one (marker engine) and its fake twin."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.serving import Launch, ModelServer, ServerError, get_server
from adapters.serving.fake import FakeServer

ROWS = [[5.1, 3.5, 1.4, 0.2]]


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.engine)])
def server(request: pytest.FixtureRequest) -> ModelServer:
    return FakeServer() if request.param == "fake" else get_server()


@pytest.fixture
def bento(server: ModelServer, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if isinstance(server, FakeServer):
        return tmp_path / "no-bento-needed"
    folder: Path = request.getfixturevalue("bentos")["iris"][0]
    return folder


@pytest.fixture
def started(server: ModelServer, bento: Path, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    running: list[Any] = []

    def start(name: str) -> Any:
        process = server.start(launch(tmp_path, bento, name))
        running.append(process)
        return process

    yield start
    for process in running:
        process.stop(grace=10)


def launch(folder: Path, bento: Path, name: str) -> Launch:
    return Launch(
        bento,
        folder / f"{name}.sock",
        folder / "log",
        folder / "records" / f"{name}.json",
        folder / f"{name}.run",
    )


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_becomes_ready_answers_and_stops(started: Any, tmp_path: Path) -> None:
    process = started("a")
    until(lambda: bool(process.health(timeout=5).ready))
    assert process.exit_code() is None
    assert len(process.predict(ROWS * 3, timeout=5)["predictions"]) == 3
    assert (tmp_path / "records" / "a.json").exists()
    process.stop(grace=10)
    process.stop(grace=10)
    assert process.exit_code() is not None
    assert not process.health(timeout=1).ready
    assert not (tmp_path / "a.sock").exists()
    assert not (tmp_path / "records" / "a.json").exists()
    with pytest.raises(ServerError):
        process.predict(ROWS, timeout=1)


def test_two_run_side_by_side(started: Any) -> None:
    first, second = started("a"), started("b")
    for process in (first, second):
        until(lambda process=process: bool(process.health(timeout=5).ready))
    first.stop(grace=10)
    assert second.health(timeout=5).ready


def test_a_sweep_ends_what_the_records_name(server: ModelServer, started: Any, tmp_path: Path) -> None:
    process = started("a")
    assert server.sweep(tmp_path / "records") == [process.pid]
    until(lambda: process.exit_code() is not None)
    assert server.sweep(tmp_path / "records") == []


def test_an_unreadable_record_is_forgotten(server: ModelServer, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "x.json").write_text("{broken")
    assert server.sweep(tmp_path / "records") == []
    assert not list((tmp_path / "records").iterdir())


@pytest.mark.engine
def test_a_socket_path_that_is_too_long_is_refused(bentos: Any, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="too long"):
        get_server().start(launch(tmp_path / ("x" * 120), bentos["iris"][0], "a"))


@pytest.mark.engine
def test_a_broken_bento_ends_with_its_reason(bentos: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "src").mkdir(parents=True)
    (broken / "src" / "bundle.json").write_text(json.dumps({"golden": {"rows": [], "answer": {}}}))
    process = get_server().start(launch(tmp_path, broken, "a"))
    until(lambda: process.exit_code() is not None)
    assert process.exit_code() == 3
    assert "ended (exit code 3)" in process.health(timeout=1).reason
    assert "could not be loaded" in (tmp_path / "log").read_text()
    process.stop(grace=1)
