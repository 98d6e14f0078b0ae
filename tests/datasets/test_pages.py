"""The pages of datasets: every state answers, and says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.datasets import CHURN, ready_version, register, run_inline

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home")]


def text_of(response: Any) -> str:
    return str(response.content.decode())


def upload(client: Any, path: str, data: bytes = CHURN, filename: str = "churn.csv", **fields: str) -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return client.post(path, {"file": SimpleUploadedFile(filename, data), **fields})


def test_an_empty_project_says_what_a_dataset_is_and_how_to_make_one(people: Any) -> None:
    page = text_of(people.client("contributor").get("/p/shop/datasets/"))
    assert "No dataset yet" in page
    assert "/p/shop/datasets/new" in page
    assert "curl -H" in page
    seen = text_of(people.client("viewer").get("/p/shop/datasets/"))
    assert "/p/shop/datasets/new" not in seen


def test_a_form_registers_a_dataset_and_leads_to_its_version(people: Any) -> None:
    client = people.client("contributor")
    answer = upload(client, "/p/shop/datasets/new", name="churn", description="Customers")
    assert (answer.status_code, answer["location"]) == (302, "/p/shop/datasets/churn/versions/1/")
    page = text_of(client.get("/p/shop/datasets/churn/versions/1/"))
    assert "Waits for a free slot" in page
    assert 'data-poll="/p/shop/datasets/churn/versions/1/live"' in page


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [("a/b", 422, "letters, digits"), ("", 422, "This field is required"), ("new", 422, "own addresses")],
)
def test_a_form_with_a_bad_name_comes_back_with_a_sentence(
    people: Any, name: str, status: int, sentence: str
) -> None:
    from apps.datasets.models import Dataset

    answer = upload(people.client("contributor"), "/p/shop/datasets/new", name=name)
    assert answer.status_code == status
    assert sentence in text_of(answer)
    assert not Dataset.objects.exists()


def test_a_form_with_a_name_in_use_comes_back(people: Any) -> None:
    register(people)
    answer = upload(people.client("contributor"), "/p/shop/datasets/new", name="churn")
    assert answer.status_code == 409
    assert "There is already a dataset" in text_of(answer)


def test_a_problem_of_the_gateway_is_shown_in_words(people: Any) -> None:
    client = people.client("contributor")
    assert "larger than one upload may be" in text_of(
        client.get("/p/shop/datasets/new?problem=upload.too_large")
    )
    assert "&lt;script" not in text_of(client.get("/p/shop/datasets/new?problem=<script>"))


def test_a_viewer_is_told_who_can_upload(people: Any) -> None:
    client = people.client("viewer")
    assert "An owner of the team can change your role" in text_of(client.get("/p/shop/datasets/new"))
    assert upload(client, "/p/shop/datasets/new", name="churn").status_code == 403


def test_the_list_shows_the_newest_ready_version(people: Any) -> None:
    version = ready_version(people)
    page = text_of(people.client("viewer").get("/p/shop/datasets/"))
    assert version.get_absolute_url().rsplit("/versions", 1)[0] in page
    assert 'class="num">5<' in page
    assert "Nothing matches" in text_of(people.client("viewer").get("/p/shop/datasets/?q=zzz"))


@pytest.mark.parametrize(
    "tab", ["", "preview", "columns", "columns?column=income", "columns?column=zzz", "lineage", "live"]
)
def test_every_tab_of_a_ready_version_answers(people: Any, tab: str) -> None:
    ready_version(people)
    page = text_of(people.client("viewer").get(f"/p/shop/datasets/churn/versions/1/{tab}"))
    words = {"": "Distribution", "preview": "Rome", "lineage": "Where it went", "live": "Distribution"}
    assert words.get(tab, "Standard deviation") in page


@pytest.mark.parametrize("tab", ["", "preview", "columns", "lineage"])
def test_every_tab_of_a_pending_version_answers(people: Any, tab: str) -> None:
    register(people)
    assert people.client("viewer").get(f"/p/shop/datasets/churn/versions/1/{tab}").status_code == 200


def test_a_failed_version_says_why_and_can_be_read_again(people: Any) -> None:
    version = register(people, b"1,x\n2,y\n").versions.get()
    run_inline(version.job)
    client = people.client("contributor")
    page = text_of(client.get("/p/shop/datasets/churn/versions/1/"))
    assert "looks like data (1, x)" in page
    assert "Say below whether the file has a header" in page
    assert "Read it again" in page
    answer = client.post("/p/shop/datasets/churn/versions/1/retry", {"header": "no"})
    assert answer.status_code == 302
    version.refresh_from_db()
    run_inline(version.job)
    assert "column_1" in text_of(client.get("/p/shop/datasets/churn/versions/1/"))
    assert "Read it again" not in text_of(people.client("viewer").get("/p/shop/datasets/churn/versions/1/"))


def test_a_dataset_goes_to_the_trash_and_comes_back(people: Any) -> None:
    ready_version(people)
    client = people.client("contributor")
    assert client.post("/p/shop/datasets/churn/trash").status_code == 302
    assert "No dataset yet" in text_of(client.get("/p/shop/datasets/"))
    assert "/p/shop/datasets/churn/restore" in text_of(client.get("/p/shop/datasets/?trashed=1"))
    assert "Restore" in text_of(client.get("/p/shop/datasets/churn/"))
    assert client.post("/p/shop/datasets/churn/restore").status_code == 302
    assert "Upload a version" in text_of(client.get("/p/shop/datasets/churn/"))


def test_a_version_goes_to_the_trash_and_comes_back(people: Any) -> None:
    ready_version(people)
    client = people.client("contributor")
    assert client.post("/p/shop/datasets/churn/versions/1/trash").status_code == 302
    assert "All versions are in the trash" in text_of(client.get("/p/shop/datasets/churn/"))
    assert "Restore" in text_of(client.get("/p/shop/datasets/churn/versions/1/"))
    assert client.post("/p/shop/datasets/churn/versions/1/restore").status_code == 302


def test_renaming_leads_to_the_new_address(people: Any) -> None:
    register(people)
    client = people.client("contributor")
    answer = client.post("/p/shop/datasets/churn/edit", {"name": "bank", "description": "x"})
    assert answer["location"] == "/p/shop/datasets/bank/"
    assert client.post("/p/shop/datasets/bank/edit", {"name": "a b"}).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "",
        "new",
        "churn/",
        "churn/edit",
        "churn/versions/new",
        "churn/versions/1/",
        "churn/versions/1/download",
    ],
)
def test_a_stranger_finds_nothing(people: Any, path: str) -> None:
    ready_version(people)
    assert people.client("stranger").get(f"/p/shop/datasets/{path}").status_code == 404
    assert people.client("anonymous").get(f"/p/shop/datasets/{path}").status_code == 302


@pytest.mark.parametrize(
    "path", ["nothing/", "churn/versions/9/", "churn/versions/999999999/", "churn/versions/1/zzz", "a%00b/"]
)
def test_what_is_not_there_is_not_found(people: Any, path: str) -> None:
    ready_version(people)
    assert people.client("viewer").get(f"/p/shop/datasets/{path}").status_code == 404


def test_every_page_keeps_to_its_budget_of_queries(people: Any) -> None:
    """However many datasets and versions there are; the first look is left out, which also fills caches."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for number in range(12):
        register(people, name=f"table-{number}")
    version = ready_version(people)
    for _ in range(8):
        ready_version(people)
    one = f"/p/shop/datasets/{version.dataset.name}"
    budgets = {
        "/p/shop/datasets/": 16,
        "/p/shop/datasets/?fragment=1": 12,
        "/p/shop/datasets/?trashed=1": 14,
        "/p/shop/datasets/new": 11,
        f"{one}/": 19,
        f"{one}/edit": 11,
        f"{one}/versions/1/live": 14,
        **{f"{one}/versions/1/{tab}": 17 for tab in ("", "preview", "columns")},
        f"{one}/versions/1/lineage": 20,
        f"/api/v1/projects/shop/datasets/{version.dataset.name}/versions": 12,
        "/api/v1/projects/shop/datasets": 12,
    }
    client = people.client("contributor")
    found: dict[str, int] = {}
    for path in budgets:
        assert client.get(path).status_code == 200, path
        with CaptureQueriesContext(connection) as captured:
            client.get(path)
        found[path] = len(captured)
    assert {path: count for path, count in found.items() if count > budgets[path]} == {}


def test_staff_look_at_datasets_and_change_nothing(people: Any) -> None:
    version = ready_version(people)
    people.admin.is_staff = True
    people.admin.save()
    client = people.client("admin")
    for path in (
        "dataset/",
        f"dataset/{version.dataset_id}/change/",
        "datasetversion/",
        f"datasetversion/{version.pk}/change/",
    ):
        assert client.get(f"/admin/datasets/{path}").status_code == 200
    assert client.post(f"/admin/datasets/dataset/{version.dataset_id}/delete/").status_code == 403
