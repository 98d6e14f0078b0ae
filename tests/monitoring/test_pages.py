"""Pages of monitors in every state."""

from __future__ import annotations

import re

import pytest

from apps.monitoring.models import Alert, Monitor, Report
from tests.monitoring.conftest import START, Watched

pytestmark = pytest.mark.django_db


def read(watched: Watched, path: str, *, who: str = "contributor", status: int = 200) -> str:
    answer = watched.people.client(who).get(watched.url(path))
    assert answer.status_code == status, answer.content[-800:]
    return str(answer.content.decode())


def test_the_empty_list_says_what_a_monitor_is_and_how_to_make_one(watched: Watched) -> None:
    page = read(watched, "")
    assert "No monitors yet" in page
    assert "/monitors/new" in page
    assert "curl" in page


def test_the_form_proposes_the_deployment_and_makes_the_monitor(watched: Watched) -> None:
    page = read(watched, "/new?deployment=churn")
    assert re.search(r'value="deployment:churn"\s+selected', page)
    client = watched.people.client("contributor")
    values = {
        "subject": "deployment:churn", "baseline": "customers@1", "name": "watch", "window": "1d", "threshold": "0.15",
        "min_rows": "50", "feature_thresholds": "age = 0.3\nprediction = 0.2",
    }  # fmt: skip
    answer = client.post(watched.url("/new"), values)
    assert answer.status_code == 302, answer.content[-2000:]
    kept = Monitor.objects.get().thresholds
    assert kept["features"] == {"age": 0.3, "prediction": 0.2}
    assert (kept["default"], kept["min_rows"]) == (0.15, 50)
    again = client.post(watched.url("/new"), values)
    assert again.status_code == 422
    assert "already a monitor" in again.content.decode()
    wrong = client.post(watched.url("/new"), values | {"name": "b", "feature_thresholds": "nothing: 3"})
    assert wrong.status_code == 422


def test_a_monitor_without_rows_tells_how_to_send_some(watched: Watched) -> None:
    watched.monitor()
    page = read(watched, "/watch")
    assert "Nothing recorded yet" in page
    assert "/serve/shop/churn/predict" in page


def test_a_monitor_with_rows_asks_for_its_first_report(watched: Watched) -> None:
    watched.record(120)
    watched.monitor()
    assert "No report yet" in read(watched, "/watch")


def test_the_page_shows_the_drift_table_of_the_window_with_an_alert(watched: Watched) -> None:
    watched.record(300, day=0, labels=True)
    watched.record(300, day=1, age=60, seed=2)
    watched.record(300, day=2, seed=3)
    monitor = watched.monitor()
    watched.report(monitor, days=3)
    page = read(watched, "/watch")
    assert "Drift alerts" in page
    assert "2 Apr 2021" in page
    assert "Prediction drift impact" in page
    sentence = " ".join(re.sub("<[^>]*>", "", page).split())
    assert "From 2 Apr 2021 00:00 up to, but not including, 3 Apr 2021 00:00 (UTC)" in sentence
    calm = read(watched, f"/watch?window={START.isoformat()}&feature=city")
    assert "city: baseline and window" in calm
    said = read(watched, "/watch?feature=prediction")
    assert "prediction: baseline and window" in said
    assert "Drifting" in read(watched, "")


def test_the_drift_table_is_sorted_by_any_column_and_keeps_its_window(watched: Watched) -> None:
    watched.record(300, age=60, seed=2)
    watched.report(watched.monitor())

    def features(page: str) -> list[str]:
        table = page[page.index('aria-label="Drift table"') :]
        return re.findall(r'<th scope="row"><a [^>]*>(\w+)</a>', table)[:3]

    page = read(watched, f"/watch?window={START.isoformat()}&feature=city")
    assert features(page)[0] == "age"
    assert features(read(watched, "/watch?order_by=feature")) == ["age", "city", "income"]
    assert features(read(watched, "/watch?order_by=-feature")) == ["income", "city", "age"]
    assert features(read(watched, "/watch?order_by=nonsense")) == features(page)
    (link,) = re.findall(r'href="([^"]*order_by=-psi[^"]*)"', page)
    assert "feature=city" in link
    assert link.endswith("#window")
    part = read(watched, "/watch?fragment=1&order_by=-psi")
    assert "<html" not in part
    assert "fragment=1" not in part, "its links lead to whole pages"


def test_a_damaged_window_in_the_address_shows_the_usual_one(watched: Watched) -> None:
    watched.record(120)
    watched.report(watched.monitor())
    for wanted in ("nonsense", "2021-99-99T00:00:00Z", "1999-01-01T00:00:00+00:00"):
        assert "1 Apr 2021" in read(watched, f"/watch?window={wanted}")


def test_few_rows_are_named_as_such(watched: Watched) -> None:
    watched.record(40)
    watched.report(watched.monitor())
    assert "Too few rows for an alert" in read(watched, "/watch")


def test_a_report_is_asked_for_by_days_and_lives_on_the_page(watched: Watched) -> None:
    watched.record(120)
    watched.monitor()
    client = watched.people.client("contributor")
    answer = client.post(watched.url("/watch/reports"), {"start": "2021-04-01", "end": "2021-04-02"})
    assert answer.status_code == 302
    report = Report.objects.get()
    assert (report.end - report.start).days == 2
    page = read(watched, "/watch")
    assert "data-poll=" in page
    assert "data-poll=" in read(watched, "/watch?fragment=1")
    own = re.sub("<[^>]*>", "", read(watched, f"/watch/reports/{report.pk}"))
    assert "Still being computed" in own
    assert "1 Apr 2021 00:00 up to 3 Apr 2021 00:00" in own
    assert "3 Apr 2021 00:00" in read(watched, "/watch/reports")
    wrong = client.post(watched.url("/watch/reports"), {"start": "2021-04-03", "end": "2021-04-01"})
    assert wrong.status_code == 422
    assert "after its start" in wrong.content.decode()


def test_a_failed_report_says_why(watched: Watched) -> None:
    watched.record(120)
    monitor = watched.monitor()
    watched.deployment.revisions.update(bento_prefix="bentos/gone")
    report = watched.report(monitor)
    assert report.state == "failed"
    assert "The last report failed" in read(watched, "/watch")
    assert report.reason.split(":")[0] in read(watched, f"/watch/reports/{report.pk}").replace("&#x27;", "'")


def test_alerts_are_acknowledged_and_closed_on_their_page(watched: Watched) -> None:
    watched.record(300, age=60)
    watched.report(watched.monitor())
    alert = Alert.objects.filter(feature="age").get()
    client = watched.people.client("contributor")
    for verb, state in (("acknowledge", "acknowledged"), ("close", "closed")):
        answer = client.post(watched.url(f"/watch/alerts/{alert.pk}/{verb}"))
        assert answer.status_code == 302
        alert.refresh_from_db()
        assert alert.state == state
    assert "Closed" in read(watched, "/watch/alerts?state=closed")


def test_settings_change_thresholds_and_the_trash_takes_the_monitor(watched: Watched) -> None:
    watched.monitor()
    client = watched.people.client("contributor")
    values = {
        "name": "ages", "baseline": "customers@1", "window": "1h", "threshold": "0.2", "min_rows": "10",
        "feature_thresholds": "",
    }  # fmt: skip
    assert client.post(watched.url("/watch/settings"), values).url == watched.url("/ages/settings")
    assert Monitor.objects.get().window == "1h"
    assert client.post(watched.url("/ages/trash")).status_code == 302
    assert Monitor.objects.get().deleted_at is not None
    assert "This monitor is in the trash" in client.get(watched.url("/ages")).content.decode()
    assert client.get(watched.url("/ages/settings")).status_code == 404


def test_viewers_see_no_buttons_that_change_something(watched: Watched) -> None:
    watched.record(300, age=60)
    watched.report(watched.monitor())
    page = read(watched, "/watch", who="viewer")
    assert "Acknowledge</button>" not in page
    assert "Compute a report" not in page
    client = watched.people.client("viewer")
    assert client.post(watched.url("/watch/trash")).status_code == 403
    assert client.post(watched.url("/new"), {}).status_code == 403


def test_strangers_find_no_page(watched: Watched) -> None:
    watched.monitor()
    for path in ("", "/watch", "/watch/alerts", "/watch/reports", "/watch/settings"):
        assert watched.people.client("stranger").get(watched.url(path)).status_code == 404


def test_the_list_needs_the_same_number_of_queries_for_any_number_of_monitors(watched: Watched) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = watched.people.client("viewer")
    counts = []
    for number in range(6):
        watched.monitor(name=f"watch-{number}")
        with CaptureQueriesContext(connection) as seen:
            client.get(watched.url())
        counts.append(len(seen))
    assert counts[1] == counts[-1], counts
    assert counts[-1] <= 16
