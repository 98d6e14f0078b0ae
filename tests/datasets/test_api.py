"""REST of datasets, through the interface that is promised outside."""

from __future__ import annotations

import csv
import io
import uuid
from typing import Any

import pytest

from tests.support.datasets import CHURN, ready_version, register, run_inline

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home")]
ROOT = "/api/v1/projects/shop/datasets"


def post_file(client: Any, path: str, data: bytes = CHURN, filename: str = "churn.csv", **fields: str) -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return client.post(path, {"file": SimpleUploadedFile(filename, data), **fields}, format="multipart")


def body_of(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_a_dataset_is_made_read_and_fetched(people: Any) -> None:
    from apps.jobs.models import Job

    client = people.api("contributor")
    made = post_file(client, ROOT, name="churn", description="Customers")
    assert made.status_code == 201
    answer = made.json()
    assert (answer["name"], answer["versions"], answer["ready"], answer["latest"]["state"]) == (
        "churn",
        1,
        None,
        "pending",
    )
    assert uuid.UUID(answer["job"]) == uuid.UUID(answer["latest"]["job"])
    run_inline(Job.objects.get(pk=answer["job"]))
    version = client.get(f"{ROOT}/churn/versions/1").json()
    assert version["schema"][0] == {"name": "age", "type": "integer", "nullable": False}
    assert (version["state"], version["rows"], version["columns"], version["error"]) == ("ready", 5, 5, None)
    assert len(version["digest"]) == len(version["upload"]["digest"]) == 64
    assert client.get(f"{ROOT}/churn/versions/latest/").json() == version
    fetched = client.get(f"{ROOT}/churn").json()
    assert (fetched["ready"], fetched["latest"]["bytes"]) == (1, version["bytes"])


def test_versions_are_added_listed_and_tried_again(people: Any) -> None:
    from apps.jobs.models import Job

    client = people.api("contributor")
    ready_version(people)
    made = post_file(client, f"{ROOT}/churn/versions", b"1,x\n2,y\n")
    assert (made.status_code, made.json()["number"]) == (201, 2)
    run_inline(Job.objects.get(pk=made.json()["job"]))
    failed = client.get(f"{ROOT}/churn/versions/2").json()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "dataset.no_header")
    assert [row["number"] for row in client.get(f"{ROOT}/churn/versions").json()["results"]] == [2, 1]
    again = client.post(f"{ROOT}/churn/versions/2/retry", {"header": "no"}, format="json")
    assert (again.status_code, again.json()["state"]) == (200, "pending")
    run_inline(Job.objects.get(pk=again.json()["job"]))
    assert client.get(f"{ROOT}/churn").json()["ready"] == 2
    assert (
        client.post(f"{ROOT}/churn/versions/2/retry", {}, format="json").json()["error"]["code"]
        == "dataset.not_failed"
    )


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 422, "name.invalid"),
        ({"name": "a/b"}, 422, "name.invalid"),
        ({"name": "x" * 300}, 422, "name.invalid"),
        ({"name": "new"}, 422, "name.reserved"),
        ({"name": "taken"}, 409, "dataset.exists"),
        ({"name": "ok", "header": "perhaps"}, 422, "dataset.options"),
        ({"name": "ok", "sheet": "s" * 100}, 422, "dataset.options"),
        ({"name": "ok", "description": "x" * 6_000}, 422, "text.invalid"),
    ],
)
def test_a_bad_request_makes_nothing(
    people: Any, home: Any, fields: dict[str, str], status: int, code: str
) -> None:
    from apps.datasets.models import Dataset

    register(people, name="taken")
    kept = sorted((home / "objects").rglob("*"))
    answer = post_file(people.api("contributor"), ROOT, **fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert Dataset.objects.count() == 1
    assert sorted((home / "objects").rglob("*")) == kept


def test_a_request_without_a_file_is_told_how(people: Any) -> None:
    client = people.api("contributor")
    for answer in (
        client.post(ROOT, {"name": "x"}, format="json"),
        client.post(ROOT, {"name": "x"}, format="multipart"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "upload.no_file")
    broken = client.generic("POST", ROOT, b'{"name": ', content_type="application/json")
    assert broken.status_code == 400


@pytest.mark.parametrize("body", ["0", "[]", '"text"', "null"])
def test_a_body_that_is_no_object_is_refused_in_words(people: Any, body: str) -> None:
    api = people.api("contributor")
    for path in ("datasets", "datasets/none/versions"):
        answer = api.post(f"/api/v1/projects/shop/{path}", body, content_type="application/json")
        assert answer.status_code in (404, 422), answer.content
        assert answer.json()["error"]["code"] in ("request.invalid", "upload.no_file", "dataset.not_found")


def test_profile_and_preview_are_served_of_ready_versions_only(people: Any) -> None:
    version = ready_version(people)
    client = people.api("viewer")
    profile = client.get(f"{ROOT}/churn/versions/1/profile").json()
    assert (profile["rows"], [column["name"] for column in profile["columns"]][:2]) == (5, ["age", "income"])
    preview = client.get(f"{ROOT}/churn/versions/1/preview").json()
    assert preview["rows"][2] == [29, None, "Rome", True, "yes"]
    register(people, name="other")
    for what in ("profile", "preview", "download"):
        answer = client.get(f"{ROOT}/other/versions/1/{what}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "dataset.not_ready")
    assert version.is_ready


def test_what_is_downloaded_can_be_uploaded_again_with_the_same_content(people: Any) -> None:
    import pyarrow.parquet as pq

    first = ready_version(people)
    client = people.api("viewer")
    parquet = client.get(f"{ROOT}/churn/versions/1/download")
    assert parquet["Content-Disposition"] == 'attachment; filename="churn-1.parquet"'
    data = body_of(parquet)
    assert parquet["Content-Length"] == str(len(data))
    assert pq.read_table(io.BytesIO(data)).num_rows == 5
    text = client.get(f"{ROOT}/churn/versions/1/download?format=csv")
    assert text["Content-Type"] == "text/csv; charset=utf-8"
    assert ready_version(people, data, filename="x.parquet").digest == first.digest
    assert ready_version(people, body_of(text)).digest == first.digest
    answer = client.get(f"{ROOT}/churn/versions/1/download?format=xml")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "dataset.format")


def test_numbers_come_back_from_a_csv_download_as_what_they_were(people: Any) -> None:
    """3.0 in a column of whole floats does not become 3, and no digit is lost at either end of the range."""
    table = b"whole,mixed,big,odd\n1.0,1,1e308,inf\n-2.0,0.1,-1e308,\n,3,5e-324,1.0\n0.0,2.5,0.30000000000000004,-inf\n"
    first = ready_version(people, table, name="floats")
    text = body_of(people.api("viewer").get(f"{ROOT}/floats/versions/1/download?format=csv"))
    again = ready_version(people, text, name="again")
    assert [c["type"] for c in again.schema] == ["float"] * 4
    assert again.digest == first.digest


def test_several_parts_are_downloaded_as_one_file(people: Any, settings: Any) -> None:
    import pyarrow.parquet as pq

    settings.DATASET_LIMITS = {"part_rows": 300}
    lines = "".join(f"{n},t{n}\n" for n in range(1_000))
    version = ready_version(people, f"n,t\n{lines}".encode(), name="long")
    assert version.parts.count() == 4
    data = body_of(people.api("viewer").get(f"{ROOT}/long/versions/1/download"))
    assert pq.read_table(io.BytesIO(data))["n"].to_pylist() == list(range(1_000))
    text = body_of(people.api("viewer").get(f"{ROOT}/long/versions/1/download?format=csv")).decode()
    assert len(text.splitlines()) == 1_001
    assert ready_version(people, data, name="again", filename="x.parquet").digest == version.digest


def test_formulas_are_defused_in_csv_and_only_there(people: Any) -> None:
    cells = ["=1+1", "+cmd", "-x", "@sum", "plain", "a=b"]
    table = "=name,n\n" + "".join(f'"{cell}",-5\n' for cell in cells)
    version = ready_version(people, table.encode(), name="sheet")
    text = body_of(people.api("viewer").get(f"{ROOT}/sheet/versions/1/download?format=csv")).decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["'=name", "n"]
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'+cmd", "'-x", "'@sum", "plain", "a=b"]
    assert {row[1] for row in rows[1:]} == {"-5"}
    assert people.api("viewer").get(f"{ROOT}/sheet/versions/1/preview").json()["rows"][0][0] == "=1+1"
    assert version.schema[0]["name"] == "=name"


def test_a_list_is_searched_ordered_and_cut(people: Any) -> None:
    for name in ("alpha", "beta", "gamma"):
        register(people, name=name)
    client = people.api("viewer")
    assert [row["name"] for row in client.get(f"{ROOT}?order_by=name").json()["results"]] == [
        "alpha",
        "beta",
        "gamma",
    ]
    assert [row["name"] for row in client.get(f"{ROOT}?q=ET").json()["results"]] == ["beta"]
    first = client.get(f"{ROOT}?limit=2&order_by=-name").json()
    assert [row["name"] for row in first["results"]] == ["gamma", "beta"]
    assert [row["name"] for row in client.get(first["next"]).json()["results"]] == ["alpha"]
    for query in ("limit=0", "limit=501", "order_by=rows", "cursor=zzz"):
        assert client.get(f"{ROOT}?{query}").status_code == 422


def test_a_change_needs_the_present_etag_when_one_is_sent(people: Any) -> None:
    register(people)
    client = people.api("contributor")
    etag = client.get(f"{ROOT}/churn")["ETag"]
    changed = client.patch(f"{ROOT}/churn", {"description": "new"}, format="json", HTTP_IF_MATCH=etag)
    assert (changed.status_code, changed.json()["description"]) == (200, "new")
    stale = client.patch(f"{ROOT}/churn", {"description": "x"}, format="json", HTTP_IF_MATCH=etag)
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "stale")
    unknown = client.patch(f"{ROOT}/churn", {"colour": "red"}, format="json")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (422, "request.unknown_field")
    renamed = client.patch(f"{ROOT}/churn", {"name": "bank"}, format="json")
    assert renamed.json()["url"] == "/p/shop/datasets/bank/"
    assert client.get(f"{ROOT}/churn").status_code == 404


def test_the_trash_is_a_way_back_and_purging_is_not(people: Any) -> None:
    ready_version(people)
    client = people.api("contributor")
    assert client.delete(f"{ROOT}/churn").status_code == 204
    assert client.get(f"{ROOT}/churn").status_code == 404
    assert client.get(f"{ROOT}?trashed=true").json()["results"][0]["name"] == "churn"
    assert client.post(f"{ROOT}/churn/restore").status_code == 200
    assert client.delete(f"{ROOT}/churn/versions/1").status_code == 204
    assert client.get(f"{ROOT}/churn").json()["versions"] == 0
    assert client.post(f"{ROOT}/churn/versions/1/restore").json()["number"] == 1
    client.delete(f"{ROOT}/churn")
    assert client.post(f"{ROOT}/churn/purge").status_code == 403
    assert people.api("maintainer").post(f"{ROOT}/churn/purge").status_code == 204
    assert client.get(f"{ROOT}?trashed=true").json()["results"] == []


@pytest.mark.parametrize(
    ("who", "scope", "reading", "writing"),
    [
        ("anonymous", "write", 401, 401),
        ("stranger", "write", 404, 404),
        ("viewer", "write", 200, 403),
        ("contributor", "read", 200, 403),
        ("contributor", "write", 200, 201),
        ("maintainer", "write", 200, 201),
        ("admin", "write", 200, 201),
    ],
)
def test_each_persona_may_what_its_role_says(
    people: Any, who: str, scope: str, reading: int, writing: int
) -> None:
    ready_version(people)
    client = people.api(who, scope)
    for path in (
        "",
        "/churn",
        "/churn/versions",
        "/churn/versions/1",
        "/churn/versions/1/profile",
        "/churn/versions/1/preview",
    ):
        assert client.get(f"{ROOT}{path}").status_code == reading
    assert post_file(client, f"{ROOT}/churn/versions").status_code == writing
    if writing != 201:
        for method, path in (
            ("patch", "/churn"),
            ("delete", "/churn"),
            ("post", "/churn/versions/1/retry"),
            ("delete", "/churn/versions/1"),
        ):
            assert getattr(client, method)(f"{ROOT}{path}", {}, format="json").status_code == writing


def test_another_projects_dataset_is_not_found(people: Any) -> None:
    ready_version(people)
    assert people.api("stranger").get("/api/v1/projects/else/datasets/churn").status_code == 404


def test_a_version_is_described_unless_somebody_was_quicker(people: Any) -> None:
    ready_version(people)
    address, client = "/api/v1/projects/shop/datasets/churn/versions/1", people.api("contributor")
    seen = client.get(address)
    assert seen.json()["description"] == ""
    changed = client.patch(
        address, {"description": " Without the pilots. "}, format="json", HTTP_IF_MATCH=seen["ETag"]
    )
    assert (changed.status_code, changed.json()["description"]) == (200, "Without the pilots.")
    assert changed["ETag"] != seen["ETag"]
    late = client.patch(address, {"description": "x"}, format="json", HTTP_IF_MATCH=seen["ETag"])
    assert (late.status_code, late.json()["error"]["code"]) == (409, "stale")
    assert client.patch(address, {"rows": 3}, format="json").status_code == 422
    page = people.client("contributor").get("/p/shop/datasets/churn/versions/1/").content.decode()
    assert "Without the pilots." in page
    edited = people.client("contributor").post(
        "/p/shop/datasets/churn/versions/1/edit", {"description": "All of them."}
    )
    assert edited.status_code == 302
    assert client.get(address).json()["description"] == "All of them."
