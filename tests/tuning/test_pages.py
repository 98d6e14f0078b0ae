"""Pages of studies in every state."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from apps.tuning.models import Study
from tests.support.people import People
from tests.tuning.studies import made_study, store, table, with_many_trials, with_trials

__all__ = ["made_study", "store", "table"]

pytestmark = pytest.mark.django_db
Made = Callable[..., Study]


def read(people: People, path: str = "", *, who: str = "contributor", status: int = 200) -> str:
    answer = people.client(who).get(f"/p/shop/studies/{path}")
    assert answer.status_code == status, answer.content[-800:]
    return str(answer.content.decode())


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", page).split())


FORM = {
    "name": "first", "dataset": "churn@1", "target": "y", "algorithm": "random_forest", "experiment": "Default",
    "metric": "accuracy", "split": "holdout", "test_size": "0.2", "n_trials": "12", "parallelism": "2",
    "sampler": "auto", "pruner": "auto", "max_failures": "5", "seed": "7", "space_of": "random_forest",
    "p_n_estimators": "20", "search_max_depth": "on", "p_max_depth": "", "low_max_depth": "2",
    "high_max_depth": "9", "scale_max_depth": "linear", "p_min_samples_leaf": "1",
    "search_max_features": "on", "p_max_features": "sqrt", "choices_max_features": ["sqrt", "log2"],
    "p_criterion": "gini", "p_class_weight": "none", "p_bootstrap": "true",
}  # fmt: skip


def test_the_empty_list_says_what_a_study_is_and_how_to_make_one(people: People) -> None:
    page = read(people)
    assert "No studies yet" in page
    assert "/studies/new" in page
    assert "search_space" in page
    assert "/studies/new" not in read(people, who="viewer")


def test_without_a_dataset_the_form_says_what_comes_first(people: People) -> None:
    assert "First a dataset" in read(people, "new")


def test_the_form_offers_the_algorithm_s_own_ranges(people: People, table: Any) -> None:
    page = read(people, "new?algorithm=random_forest")
    assert re.search(r'name="search_n_estimators"[^>]*checked', page)
    assert not re.search(r'name="search_criterion"[^>]*checked', page)
    assert re.search(r'name="low_max_depth" value="2"', page)
    assert re.search(r'name="high_n_estimators" value="400"', page)
    assert re.search(r'name="choices_max_features" value="log2" checked', page)
    assert 'value="churn-random-forest"' in page


def test_the_form_starts_the_study(people: People, table: Any) -> None:
    answer = people.client("contributor").post("/p/shop/studies/new", FORM)
    assert answer.status_code == 302, text_of(answer.content.decode())[-2000:]
    study = Study.objects.get()
    assert answer.url == "/p/shop/studies/first/"
    assert study.search_space["max_depth"] == {
        "type": "int", "low": 2, "high": 9, "log": False, "step": None,
    }  # fmt: skip
    assert study.search_space["max_features"]["choices"] == ["sqrt", "log2"]
    assert study.fixed["n_estimators"] == 20
    assert study.fixed["bootstrap"] is True
    assert (study.n_trials, study.seed, study.timeout) == (12, 7, None)
    again = people.client("contributor").post("/p/shop/studies/new", FORM)
    assert again.status_code == 422
    assert "already a study" in again.content.decode()


@pytest.mark.parametrize(
    ("changes", "says", "marked"),
    [
        ({"low_max_depth": "9", "high_max_depth": "2"}, "low 9 is above high 2", "low_max_depth"),
        ({"low_max_depth": "0"}, "the algorithm allows 1 to 100", "low_max_depth"),
        ({"high_max_depth": "deep"}, "finite number", "high_max_depth"),
        ({"step_max_depth": "0.5"}, "whole number", "step_max_depth"),
        ({"choices_max_features": []}, "has no choices", ""),
        ({"p_n_estimators": "0"}, "n_estimators is", "p_n_estimators"),
        ({"scale_max_depth": "list", "list_max_depth": "3, 3"}, "there twice", "list_max_depth"),
        ({"n_trials": "0"}, "1 to", "n_trials"),
        ({"metric": "rmse"}, "ever log", "metric"),
        ({"name": "a b"}, "", "name"),
        ({"minutes": "soon"}, "whole number", "minutes"),
        ({"sampler": "grid", "search_min_samples_leaf": "on", "low_min_samples_leaf": "1"}, "", ""),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_made(
    people: People, table: Any, changes: dict[str, Any], says: str, marked: str
) -> None:
    answer = people.client("contributor").post("/p/shop/studies/new", FORM | changes)
    if not says and not marked:
        assert answer.status_code in (302, 422)
        return
    page = answer.content.decode()
    assert answer.status_code == 422
    assert says in page
    if marked:
        field = re.search(rf'<(?:input|select)[^>]*name="{marked}"[^>]*>', page)
        assert field is not None
        assert "aria-invalid" in field.group()
    assert 'value="12"' in page or "n_trials" in changes
    assert Study.objects.count() == 0


def test_nothing_searched_is_a_sentence(people: People, table: Any) -> None:
    form = {k: v for k, v in FORM.items() if not k.startswith("search_")}
    answer = people.client("contributor").post("/p/shop/studies/new", form)
    assert answer.status_code == 422
    assert "The search space is empty" in answer.content.decode()


def test_the_plan_tells_sampler_and_pruner_with_the_reason(people: People, table: Any) -> None:
    client = people.client("contributor")
    page = text_of(client.get("/p/shop/studies/new/plan", FORM).content.decode())
    assert "Sampler" in page
    assert "16" in page
    assert "learns from earlier trials" in page or "points" in page
    wrong = client.get("/p/shop/studies/new/plan", FORM | {"low_max_depth": "50"}).content.decode()
    assert "low 50 is above high 9" in wrong


def test_another_algorithm_brings_its_parameters_and_keeps_what_was_entered(
    people: People, table: Any
) -> None:
    client = people.client("contributor")
    same = client.get(
        "/p/shop/studies/new/space", FORM | {"low_max_depth": "5"}, headers={"HX-Request": "true"}
    )
    assert 'name="low_max_depth" value="5"' in same.content.decode()
    other = client.get("/p/shop/studies/new/space", FORM | {"algorithm": "mlp"}).content.decode()
    assert 'name="low_units" value="16"' in other
    assert 'name="space_of" value="mlp"' in other
    assert 'name="name" value="first"' in other
    untouched = FORM | {"algorithm": "mlp", "suggested": FORM["name"]}
    assert (
        'name="name" value="churn-mlp"' in client.get("/p/shop/studies/new/space", untouched).content.decode()
    )
    target = client.get("/p/shop/studies/new/target", FORM, headers={"HX-Request": "true"}).content.decode()
    assert 'name="target"' in target


def test_a_study_is_filled_in_from_another_and_from_a_run(people: People, made_study: Made) -> None:
    study = with_trials(
        made_study(
            search_space={
                "max_depth": {"choices": [None, 3, 9]},
                "bootstrap": {},
                "min_samples_leaf": {"low": 1, "high": 40, "log": True, "when": {"bootstrap": [True]}},
            },
            parameters={"n_estimators": 33},
            timeout=90,
        ),
        0.8,
    )
    page = read(people, "new?study=forest")
    assert re.search(r'name="list_max_depth" value="empty, 3, 9"', page)
    assert "only while bootstrap is true" in page
    assert 'name="p_n_estimators" value="33"' in page
    assert 'name="minutes" value="1.5"' in page
    run = study.trials.get().run
    tuned = read(people, f"new?run={run.hex}")
    assert 'name="p_n_estimators" value="33"' in tuned
    assert run.name in tuned
    read(people, "new?study=nothing", status=404)
    assert (
        f"/studies/new?run={run.hex}"
        in people.client("contributor").get(f"/p/shop/experiments/runs/{run.hex}/").content.decode()
    )


def test_a_waiting_study_says_so(people: People, made_study: Made) -> None:
    made_study()
    page = read(people, "forest/")
    assert "Waits for its first trial" in page
    assert "data-poll=" in page
    assert "Queued" in page
    assert "Lines appear here" in read(people, "forest/parallel")
    assert "about to begin" in read(people, "forest/trials")
    assert "n_estimators" in read(people, "forest/settings")


def test_a_study_at_work_shows_its_best_and_how_far_it_is(people: People, made_study: Made) -> None:
    study = with_trials(made_study(), 0.7, 0.9, "pruned", "failed", 0.8, "running")
    page = read(people, "forest/")
    said = text_of(page)
    assert "Best Accuracy 0.9000 trial 1" in said
    assert "5 of 30 · 1 pruned · 1 failed" in said
    assert "Trial 5 of 30" in said
    assert "about" in said
    assert "1 at work" in said
    assert '"best so far"' in page
    assert "Train final model" in page
    assert "Shown from 10 complete trials on; 3 are there." in said
    assert f"/experiments/runs/{study.trials.get(number=1).run.hex}/" in page


def test_many_trials_have_importances_lines_and_pages(people: People, made_study: Made) -> None:
    study = with_trials(made_study(n_trials=60), *[0.5 + (n * 7 % 40) / 100 for n in range(60)])
    page = read(people, "forest/")
    assert "PED-ANOVA" in page
    assert "data-poll" not in page.partition('id="study-live"')[2][:200]
    drawn = read(people, "forest/parallel")
    assert drawn.count('class="line value-') == 60
    assert drawn.count(" best") >= 1
    first = read(people, "forest/trials")
    assert first.count('<tr id="trial-') == 50
    assert "Next page" in first
    assert read(people, "forest/trials?page=2").count('<tr id="trial-') == 10
    ordered = re.findall(r'<tr id="trial-(\d+)"', read(people, "forest/trials?order_by=-value"))
    values = {str(t.number): t.value for t in study.trials.all()}
    assert [values[n] for n in ordered] == sorted((values[n] for n in ordered), reverse=True)
    by_depth = re.findall(r'<tr id="trial-(\d+)"', read(people, "forest/trials?order_by=p.max_depth"))
    depths = {str(t.number): t.parameters["max_depth"] for t in study.trials.all()}
    assert [depths[n] for n in by_depth] == sorted(depths[n] for n in by_depth)
    for odd in ("?order_by=p.nothing", "?order_by=", "?page=99999999999", "?page=-1", "?state=odd"):
        assert "trial-" in read(people, f"forest/trials{odd}")


def test_the_trial_table_filters_by_state_and_says_why_one_failed(people: People, made_study: Made) -> None:
    with_trials(made_study(), 0.7, "failed", "pruned")
    failed = read(people, "forest/trials?state=failed")
    assert failed.count('<tr id="trial-') == 1
    assert "Nothing to learn from in fold 2." in failed
    assert "Nothing matches" in read(people, "forest/trials?state=running")


def test_a_study_that_gave_up_shows_the_shared_reason(people: People, made_study: Made) -> None:
    study = with_trials(made_study(), "failed", "failed", state="failed")
    Study.objects.filter(pk=study.pk).update(reason="5 trials failed one after the other: no rows.")
    page = read(people, "forest/")
    assert "The study gave up" in page
    assert "no rows" in page
    assert "Resume" in page
    assert "No trial was completed" in read(people, "forest/parallel")


def test_the_live_part_is_answered_with_304_until_something_changes(people: People, made_study: Made) -> None:
    study = with_trials(made_study(), 0.7)
    client = people.client("viewer")
    for part in ("1", "status", "actions"):
        for tab in ("", "parallel", "trials") if part == "1" else ("",):
            first = client.get(f"/p/shop/studies/forest/{tab}?fragment={part}")
            assert first.status_code == 200
            tag = {"If-None-Match": first.headers["ETag"]}
            assert client.get(f"/p/shop/studies/forest/{tab}?fragment={part}", headers=tag).status_code == 304
    table = client.get("/p/shop/studies/?fragment=1")
    tag = {"If-None-Match": table.headers["ETag"]}
    assert client.get("/p/shop/studies/?fragment=1", headers=tag).status_code == 304
    with_trials(study, 0.8)
    assert client.get("/p/shop/studies/?fragment=1", headers=tag).status_code == 200
    again = client.get("/p/shop/studies/forest/?fragment=1", headers={"If-None-Match": "x"})
    assert again.status_code == 200


def test_stop_resume_trash_and_restore_by_their_buttons(people: People, made_study: Made) -> None:
    study = with_trials(made_study(), 0.7)
    client = people.client("contributor")
    assert client.post("/p/shop/studies/forest/stop").status_code == 302
    study.refresh_from_db()
    assert study.state == "stopping"
    assert "Cancel trials" in read(people, "forest/")
    with_trials(study, 0.8, state="stopped")
    for wrong in ("", "-3", "many", "99999999"):
        client.post("/p/shop/studies/forest/resume", {"more": wrong})
        assert Study.objects.get().state == "stopped"
    client.post("/p/shop/studies/forest/resume", {"more": "4"})
    study.refresh_from_db()
    assert (study.state, study.n_trials) == ("queued", 6)
    with_trials(study, 0.8, state="stopped")
    assert client.post("/p/shop/studies/forest/trash").url == "/p/shop/studies/"
    assert "is in the trash" in read(people, "forest/")
    assert "forest" in read(people, "?trashed=1")
    client.post("/p/shop/studies/forest/restore")
    assert Study.objects.get().deleted_at is None


def test_edit_renames_and_describes(people: People, made_study: Made) -> None:
    made_study()
    made_study(name="other")
    client = people.client("contributor")
    values = {"name": "woods", "description": "why", "n_trials": "40", "parallelism": "3"}
    assert client.post("/p/shop/studies/forest/edit", values).url == "/p/shop/studies/woods/"
    assert Study.objects.get(name="woods").n_trials == 40
    taken = client.post("/p/shop/studies/woods/edit", values | {"name": "other"})
    assert taken.status_code == 422
    assert "already a study" in taken.content.decode()


def test_the_best_trial_becomes_the_final_run(people: People, made_study: Made) -> None:
    study = with_trials(made_study(n_trials=2), 0.7, 0.9)
    answer = people.client("contributor").post("/p/shop/studies/forest/train")
    study.refresh_from_db()
    assert study.final_run is not None
    assert answer.url == f"/p/shop/experiments/runs/{study.final_run.hex}/"
    assert study.final_run.name in read(people, "forest/")


def test_a_run_of_a_trial_leads_back_to_its_study(people: People, made_study: Made) -> None:
    study = with_trials(made_study(), 0.7)
    run = study.trials.get().run
    page = people.client("viewer").get(f"/p/shop/experiments/runs/{run.hex}/").content.decode()
    assert "/p/shop/studies/forest/" in page
    assert "Trial 0 of" in text_of(page)


def test_a_pruned_run_says_so_and_a_study_s_own_run_offers_nothing_empty(
    people: People, made_study: Made
) -> None:
    study = with_trials(made_study(), 0.7, "pruned")
    trial = study.trials.get(number=1)
    trial.reason = "Pruned at fold 2: it is behind the other trials."
    trial.save()
    client = people.client("viewer")
    page = client.get(f"/p/shop/experiments/runs/{trial.run.hex}/").content.decode()
    assert "Pruned at fold 2" in text_of(page)
    own = client.get(f"/p/shop/experiments/runs/{study.run.hex}/").content.decode()
    for tab in ("curves", "figures", "artifacts", "model", "environment"):
        assert f"/runs/{study.run.hex}/{tab}" not in own


def test_viewers_see_no_buttons_that_change_something(people: People, made_study: Made) -> None:
    with_trials(made_study(n_trials=1), 0.7)
    page = read(people, "forest/", who="viewer")
    for words in ("Resume", "Train final model", "Move to the trash", "New study from this one"):
        assert words not in page
    for verb in ("stop", "resume", "train", "trash", "restore"):
        assert people.client("viewer").post(f"/p/shop/studies/forest/{verb}").status_code in (403, 404)


def test_strangers_find_no_page(people: People, made_study: Made) -> None:
    made_study()
    for path in ("", "new", "forest/", "forest/parallel", "forest/trials", "forest/settings", "forest/edit"):
        read(people, path, who="stranger", status=404)


def test_every_page_keeps_to_its_budget_of_queries(people: People, made_study: Made) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with_trials(made_study(n_trials=60), *[0.5 + n / 100 for n in range(55)])
    for number in range(5):
        made_study(name=f"s{number}")
    budgets = {
        "": 17, "new": 16, "new?study=forest": 18, "forest/": 24, "forest/?fragment=1": 14, "forest/parallel": 22,
        "forest/trials": 24, "forest/settings": 22, "forest/?fragment=status": 10, "forest/edit": 12,
    }  # fmt: skip
    client = people.client("contributor")
    found = {}
    for path in budgets:
        client.get(f"/p/shop/studies/{path}")
        with CaptureQueriesContext(connection) as seen:
            assert client.get(f"/p/shop/studies/{path}").status_code == 200
        found[path] = len(seen)
    assert {path: count for path, count in found.items() if count > budgets[path]} == {}


def test_thousands_of_trials_stay_light(people: People, made_study: Made) -> None:
    study = made_study(algorithm="hist_gradient_boosting", search_space=None, n_trials=1500)
    with_many_trials(study, 1500)
    sizes = {path: len(read(people, path)) for path in ("forest/", "forest/parallel", "forest/trials")}
    assert all(size < 100_000 for size in sizes.values()), sizes
