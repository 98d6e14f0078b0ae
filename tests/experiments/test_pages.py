"""The pages of experiments and runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.experiments.models import Run
from tests.experiments.conftest import MakeVersion
from tests.support.people import People

pytestmark = pytest.mark.django_db
Start = Callable[..., Run]
BASE = "/p/shop/experiments"
TABS = ("", "curves", "figures", "artifacts", "logs", "model", "environment", "lineage")


def text_of(response: Any) -> str:
    return str(response.content.decode())


def test_an_empty_project_says_what_a_run_is_and_how_to_start(people: People) -> None:
    client = people.client("contributor")
    assert "Default" in text_of(client.get(f"{BASE}/"))
    page = text_of(client.get(f"{BASE}/runs/"))
    assert "No run yet" in page
    assert "mlflow.set_tracking_uri" in page
    assert "First a dataset" in text_of(client.get(f"{BASE}/new"))


def test_a_viewer_sees_no_button_that_would_be_refused(
    people: People, make_version: MakeVersion, start: Start
) -> None:
    make_version()
    run = start()
    page = text_of(people.client("viewer").get(f"{BASE}/runs/{run.hex}/"))
    assert "Run again" not in page
    assert "cancel" not in page.lower().replace("cancelled", "")
    assert people.client("viewer").post(f"{BASE}/runs/{run.hex}/cancel").status_code == 403


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_of_a_waiting_run_is_drawn(
    people: People, make_version: MakeVersion, start: Start, tab: str
) -> None:
    make_version()
    run = start(name="first-run", parameters={"C": 3})
    url = f"{BASE}/runs/{run.hex}/{tab}"
    page = people.client("viewer").get(url)
    assert page.status_code == 200
    assert "first-run" in text_of(page)


@pytest.mark.django_db(transaction=True)
def test_every_tab_of_a_finished_run_is_drawn(
    people: People, make_version: MakeVersion, start: Start, finish: Callable[[Run], Run]
) -> None:
    make_version()
    run = finish(start(parameters={"C": 3}))
    assert run.state == "succeeded"
    client = people.client("contributor")
    words = {
        "": "Accuracy",
        "figures": "Confusion matrix",
        "artifacts": "figures",
        "model": "load_model",
        "environment": "scikit-learn",
        "lineage": "churn@1",
        "curves": "No curves",
        "logs": "Task: classification",
    }
    for tab, word in words.items():
        page = text_of(client.get(f"{BASE}/runs/{run.hex}/{tab}"))
        assert word in page, tab
        assert f'data-poll="{BASE}' not in page, tab
    preview = text_of(client.get(f"{BASE}/runs/{run.hex}/artifacts?file=environment.json"))
    assert "python" in preview


def test_a_live_run_asks_again_and_the_answer_is_the_part_itself(
    people: People, make_version: MakeVersion, start: Start
) -> None:
    make_version()
    run = start()
    client = people.client("viewer")
    assert "data-poll=" in text_of(client.get(f"{BASE}/runs/{run.hex}/"))
    part = text_of(client.get(f"{BASE}/runs/{run.hex}/?fragment=1")).strip()
    assert part.startswith('<section id="run-live"')
    actions = text_of(client.get(f"{BASE}/runs/{run.hex}/?fragment=actions")).strip()
    assert actions.startswith('<div id="run-actions"')
    assert "data-poll=" in actions
    table = text_of(client.get(f"{BASE}/runs/?fragment=1")).strip()
    assert table.startswith('<section id="runs"')


def test_the_form_proposes_a_target_and_starts_a_run(people: People, make_version: MakeVersion) -> None:
    make_version()
    client = people.client("contributor")
    page = text_of(client.get(f"{BASE}/new?algorithm=linear"))
    assert '<option value="y" selected>' in page
    assert "p_C" in page
    assert "p_alpha" not in page
    answer = client.post(
        f"{BASE}/new",
        {
            "dataset": "churn@1",
            "target": "y",
            "algorithm": "linear",
            "experiment": "first",
            "split": "folds",
            "folds": "3",
            "test_size": "0.2",
            "seed": "7",
            "p_C": "0.5",
            "p_fit_intercept": "on",
            "p_class_weight": "balanced",
        },
    )
    run = Run.objects.get()
    assert answer.status_code == 302
    assert answer["Location"].endswith(f"/runs/{run.hex}/")
    assert (run.folds, run.test_size, run.seed) == (3, None, 7)
    assert run.parameters["C"] == 0.5
    assert run.parameters["class_weight"] == "balanced"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"p_C": "-1"}, "The parameter C is"),
        ({"test_size": "2"}, "test_size"),
        ({"target": "absent"}, "has no column"),
        ({"dataset": "churn@9"}, "churn"),
        ({"algorithm": "nothing"}, "There is no algorithm"),
        ({"experiment": "a/b"}, "experiment may hold"),
        ({"name": "a b"}, "name may hold"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(
    people: People, make_version: MakeVersion, change: dict[str, str], sentence: str
) -> None:
    make_version()
    body = {"dataset": "churn@1", "target": "y", "algorithm": "linear", "experiment": "first", **change}
    answer = people.client("contributor").post(f"{BASE}/new", body)
    assert answer.status_code == 422
    assert sentence in text_of(answer)
    assert "field-errors" in text_of(answer) or "form-errors" in text_of(answer)
    assert not Run.objects.exists()


def test_all_that_is_wrong_is_said_at_once(people: People, make_version: MakeVersion) -> None:
    make_version()
    wrong = {"p_C": "-1", "test_size": "2", "seed": "many", "name": "a b"}
    body = {"dataset": "churn@1", "target": "y", "algorithm": "linear", "experiment": "first", **wrong}
    page = text_of(people.client("contributor").post(f"{BASE}/new", body))
    for sentence in ("The parameter C is", "test_size", "seed", "name may hold"):
        assert sentence in page
    assert page.count('class="field-errors"') == len(wrong)
    assert not Run.objects.exists()


def test_run_again_fills_in_what_the_run_had(people: People, make_version: MakeVersion, start: Start) -> None:
    make_version()
    run = start(parameters={"C": 0.125}, folds=4, seed=99)
    page = text_of(people.client("contributor").get(f"{BASE}/new?from={run.hex}"))
    assert 'value="0.125"' in page
    assert 'value="99"' in page
    assert '<option value="folds" selected>' in page


def test_fragments_follow_dataset_and_algorithm(people: People, make_version: MakeVersion) -> None:
    make_version()
    client = people.client("contributor")
    target = text_of(client.get(f"{BASE}/new/target?dataset=churn@1", HTTP_HX_REQUEST="true"))
    assert "amount (float)" in target
    assert 'hx-swap-oob="true"' in target
    parameters = text_of(client.get(f"{BASE}/new/parameters?dataset=churn@1&target=y&algorithm=mlp"))
    assert "p_units" in parameters


def test_the_table_keeps_its_columns_and_filter_in_the_url(
    people: People, make_version: MakeVersion, start: Start, fake_tracking: Any
) -> None:
    make_version()
    for n in range(3):
        run = start(name=f"run-{n}", parameters={"C": n + 1})
        fake_tracking.log(run.hex, "accuracy", {0: n / 10})
    client = people.client("viewer")
    page = text_of(
        client.get(f"{BASE}/runs/?columns=metrics.accuracy,params.C&filter=metrics.accuracy > 0.05")
    )
    assert "run-1" in page
    assert "run-0" not in page
    assert "columns=metrics.accuracy" in page
    assert "Started by" in page
    chosen = text_of(client.get(f"{BASE}/runs/?columns=run.by,run.id,run.secret,tags.a%26b"))
    assert "contributor</td>" in chosen
    assert run.hex[-8:] in chosen
    assert ">secret" not in chosen
    assert "columns=run.by,run.id,tags.a%26b" in chosen
    wrong = client.get(f"{BASE}/runs/?filter=rubbish")
    assert wrong.status_code == 200
    assert "cannot be listed like this" in text_of(wrong)
    assert "Clear the filters" in text_of(client.get(f"{BASE}/runs/?q=nothing-like-it"))


def test_compare_marks_the_best_and_hides_what_agrees(
    people: People, make_version: MakeVersion, start: Start, fake_tracking: Any
) -> None:
    make_version()
    runs = [start(name=f"run-{n}", parameters={"C": n + 1}) for n in range(2)]
    for run, values in zip(runs, ((0.8, 0.5), (0.9, 0.7)), strict=True):
        fake_tracking.log(run.hex, "accuracy", {0: values[0]})
        fake_tracking.log(run.hex, "log_loss", {0: values[1]})
        fake_tracking.log(run.hex, "loss", {n: 1 / (n + 1) for n in range(5)})
    client = people.client("viewer")
    query = "&".join(f"run={r.hex}" for r in runs)
    page = text_of(client.get(f"{BASE}/compare?{query}"))
    assert 'class="num best">0.9000' in page
    assert 'class="num best">0.5000' in page
    assert ">seed<" not in page
    assert ">seed<" in text_of(client.get(f"{BASE}/compare?{query}&all=1"))
    assert client.get(f"{BASE}/compare?run={runs[0].hex}").status_code == 422
    chosen = people.client("contributor").post(
        f"{BASE}/runs/bulk", {"verb": "compare", "run": [r.hex for r in runs]}
    )
    assert chosen["Location"] == f"{BASE}/compare?{query}"
    assert Run.objects.alive().count() == 2
    assert client.get(f"{BASE}/compare?run={runs[0].hex}&run={'0' * 32}").status_code == 404


def test_a_stranger_finds_nothing(people: People, make_version: MakeVersion, start: Start) -> None:
    make_version()
    run = start()
    stranger = people.client("stranger")
    for path in ("/", "/runs/", f"/runs/{run.hex}/", "/new", f"/compare?run={run.hex}"):
        assert stranger.get(f"{BASE}{path}").status_code == 404
    assert stranger.get(f"/p/else/experiments/runs/{run.hex}/").status_code == 404


def test_bulk_trash_leaves_what_still_works(people: People, make_version: MakeVersion, start: Start) -> None:
    from apps.experiments.actions import cancel_run

    make_version()
    over, working = cancel_run(actor=people.actor("contributor"), run=start()), start()
    client = people.client("contributor")
    page = client.post(f"{BASE}/runs/bulk", {"run": [over.hex, working.hex]}, follow=True)
    assert "still working" in text_of(page)
    assert [r.hex for r in Run.objects.alive()] == [working.hex]


def test_staff_look_at_runs_without_changing_them(
    people: People, make_version: MakeVersion, start: Start
) -> None:
    make_version()
    run = start()
    admin = people.client("admin")
    assert run.name in text_of(admin.get("/admin/experiments/run/"))
    assert admin.get(f"/admin/experiments/run/{run.pk}/change/").status_code == 200
    assert admin.get("/admin/experiments/experiment/").status_code == 200
    assert admin.get("/admin/experiments/run/add/").status_code == 403
