"""What the tour says when something is not as it must be, and that it repeats nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from atelier.tour import stories, tables
from atelier.tour.client import Client, TourError
from atelier.tour.loop import Loop


class FakeStudio(ThreadingHTTPServer):
    """Answers from a dictionary of (method, path) and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.bodies: dict[tuple[str, str], bytes] = {}
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: FakeStudio

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0].removeprefix("/api/v1/projects/tour/")
        self.server.asked.append((self.command, path))
        self.server.bodies[self.command, path] = sent
        missing = (404, {"error": {"message": "There is no such thing."}})
        status, body = self.server.answers.get((self.command, path), missing)
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    with FakeStudio() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def loop(studio: FakeStudio, said: list[str]) -> Loop:
    client = Client(f"http://127.0.0.1:{studio.server_port}", "atl_test", "tour")
    return Loop(client, lambda text, url: said.append(text))


def test_an_error_of_the_studio_is_passed_on_as_its_sentence(loop: Loop, studio: FakeStudio) -> None:
    studio.answers["POST", "runs"] = (
        422,
        {"error": {"code": "run.x", "message": "The target does not exist."}},
    )
    with pytest.raises(TourError, match="422: The target does not exist"):
        loop.client.post("runs", {})


def test_a_studio_that_does_not_run_is_named() -> None:
    with pytest.raises(TourError, match="does not answer"):
        Client("http://127.0.0.1:9", "atl_test", "tour").get("runs")


def test_waiting_ends_with_a_sentence(loop: Loop) -> None:
    with pytest.raises(TourError, match="The run is still running"):
        loop.client.wait("The run", lambda: {"state": "running"}, lambda found: False, patience=0)


def test_a_failed_run_stops_the_tour_with_its_reason(loop: Loop, studio: FakeStudio) -> None:
    run = {"id": "a", "name": "forest", "state": "failed", "reason": "One class only.", "metrics": {}}
    studio.answers["GET", "runs/a"] = (200, run)
    with pytest.raises(TourError, match="forest failed: One class only"):
        loop.finished_run("a", metric="accuracy")


def test_a_run_that_went_well_is_not_repeated(loop: Loop, studio: FakeStudio) -> None:
    studio.answers["GET", "experiments"] = (200, {"results": [{"name": "tumours"}], "next": None})
    studio.answers["GET", "runs"] = (
        200,
        {"results": [{"id": "a", "name": "forest", "state": "succeeded"}], "next": None},
    )
    assert loop.start_run("forest", experiment="tumours") == "a"
    assert not any(method == "POST" for method, _ in studio.asked)


def test_a_version_is_found_by_its_run(loop: Loop, studio: FakeStudio) -> None:
    studio.answers["GET", "models/churn"] = (200, {"name": "churn"})
    studio.answers["GET", "models/churn/versions"] = (
        200,
        {"results": [{"version": 3, "run": "a"}], "next": None},
    )
    assert loop.model_version("churn", "a") == 3


def test_a_refused_promotion_names_the_checks(loop: Loop, studio: FakeStudio) -> None:
    checks = [{"name": "loads", "state": "failed", "message": "The model does not load."}]
    studio.answers["GET", "models/churn"] = (200, {"name": "churn", "aliases": {}})
    studio.answers["POST", "models/churn/versions/1/promotions"] = (201, {"id": "p", "state": "checking"})
    studio.answers["GET", "promotions/p"] = (200, {"id": "p", "state": "refused", "checks": checks})
    with pytest.raises(TourError, match=r"not promoted \(refused\): The model does not load"):
        loop.promote("churn", 1)


def test_what_somebody_else_imported_is_not_the_tours_events(loop: Loop, studio: FakeStudio) -> None:
    other = {"id": "o", "filename": "mine.csv", "state": "ready", "rows": 3}
    broken = {"id": "b", "filename": "events.parquet", "state": "failed", "rows": 0}
    studio.answers["GET", "deployments/churn/events"] = (200, {"results": [other, broken], "next": None})
    assert not loop.has_events("churn", "events.parquet")
    assert loop.has_events("churn", "mine.csv")


def test_the_truth_that_an_interrupted_tour_did_not_tell_is_told(loop: Loop, studio: FakeStudio) -> None:
    records = [{"a": number} for number in range(3)]
    known = [
        {"id": str(number), "features": {"a": number}, "label": label, "time": "2026-01-01T00:00:00Z"}
        for number, label in ((2, None), (1, None), (0, "x"))
    ]
    studio.answers["GET", "deployments/t/inferences"] = (200, {"results": known, "next": None})
    studio.answers["POST", "deployments/t/labels"] = (200, {"stored": 2})
    loop.predict("t", records, ["x", "y", "z"])
    told = json.loads(studio.bodies["POST", "deployments/t/labels"])["labels"]
    assert told == [{"inference_id": "1", "value": "y"}, {"inference_id": "2", "value": "z"}]


def window(day: int, leader: str, *, drifted: bool) -> dict[str, Any]:
    start = date(2021, 4, day) - timedelta(days=1)
    features = [
        {"name": name, "prediction_drift_impact": 0.2 if name == leader else 0.01, "drifted": drifted and name == leader,
         "share": 0.7, "feature_drift": 0.3}
        for name in ("Age", "NumOfProducts")
    ]  # fmt: skip
    return {"start": f"{start.isoformat()}T22:00:00Z", "features": features}


def test_the_known_drift_is_verified_and_told(loop: Loop, studio: FakeStudio, said: list[str]) -> None:
    alert = {"feature": "NumOfProducts", "start": "2021-04-11T22:00:00Z", "state": "open"}
    studio.answers["GET", "monitors/churn/alerts"] = (200, {"results": [alert], "next": None})
    stories.check_drift(loop, {"windows": [window(12, "NumOfProducts", drifted=True)]})
    assert said[0].startswith("Verified: on 12 April NumOfProducts leads")


@pytest.mark.parametrize(
    ("found", "alerts", "sentence"),
    [
        ([], [], "no window for 12 April"),
        ([window(12, "Age", drifted=True)], [], "On the 12th Age leads"),
        ([window(12, "NumOfProducts", drifted=False)], [], "drifted is false"),
        (
            [window(12, "NumOfProducts", drifted=True)],
            [{"feature": "Age", "start": "2021-04-02T22:00:00Z", "state": "open"}],
            "fired before the 12th",
        ),
    ],
)
def test_a_report_that_contradicts_the_truth_stops_the_tour(
    loop: Loop, studio: FakeStudio, found: list[Any], alerts: list[Any], sentence: str
) -> None:
    studio.answers["GET", "monitors/churn/alerts"] = (200, {"results": alerts, "next": None})
    with pytest.raises(TourError, match=sentence):
        stories.check_drift(loop, {"windows": found})


def test_the_real_tables_are_written_in_two_versions_without_the_held_back_rows(tmp_path: Path) -> None:
    import csv

    data = tables.write_tumours(tmp_path)
    rows = [list(csv.DictReader(file.open())) for file in data.versions]
    assert [len(found) for found in rows] == [300, 369]
    assert rows[0] == rows[1][:300]
    assert len(data.records) == len(data.truth) == 200
    assert set(data.truth) == {"benign", "malignant"}
    assert "diagnosis" not in data.records[0]
    assert all(" " not in name for name in data.records[0])


def test_digits_iris_and_wine_have_named_classes(tmp_path: Path) -> None:
    import csv

    for name, file in tables.write_plain(tmp_path).items():
        first = next(csv.DictReader(file.open()))
        assert not first[tables.TARGET[name]].replace(".", "").isdigit()


def test_a_program_that_fails_is_named_with_its_last_line(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit('no such experiment')")
    monkeypatch.setattr(stories, "PROGRAMS", tmp_path)
    with pytest.raises(TourError, match=r"broken\.py failed: no such experiment"):
        stories.run_program(loop.client, "broken.py")
