"""Uploads through the running studio: the gateway, a real worker, the browser."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.test_upload_stage import BOUNDARY, multipart
from tests.support.axe import violations
from tests.support.studio import Studio

CHURN = b"age,city,left\n" + b"".join(
    b"%d,%s,%s\n" % (20 + n % 50, b"Rome" if n % 3 else b"Oslo", b"yes" if n % 5 else b"no")
    for n in range(500)
)


@pytest.fixture(scope="module")
def token(studio: Studio) -> str:
    return studio.token()


@pytest.fixture(scope="module")
def slug(studio: Studio, token: str) -> str:
    name = f"data-{uuid.uuid4().hex[:8]}"
    body = {"slug": name, "name": "Data", "team": "studio"}
    status, answer = studio.call("POST", "/api/v1/projects", body, token=token)
    assert status == 201, answer
    return name


def send(studio: Studio, path: str, token: str, body: Any, **headers: str) -> tuple[int, Any]:
    """A multipart POST; an iterable body is sent chunked, without a Content-Length."""
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=60)
    sent = {
        "Authorization": f"Bearer {token}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        **headers,
    }
    connection.request("POST", path, body=body, headers=sent, encode_chunked=not isinstance(body, bytes))
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


def settled(studio: Studio, token: str, slug: str, name: str, number: int = 1) -> dict[str, Any]:
    """The version once it is no longer pending."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        _, version = studio.call(
            "GET", f"/api/v1/projects/{slug}/datasets/{name}/versions/{number}", token=token
        )
        if version["state"] != "pending":
            return dict(version)
        time.sleep(0.1)
    raise AssertionError(f"{name}@{number} is still pending")


def staged(studio: Studio) -> list[str]:
    """What lies in the staging area once the studio had time to notice that a request is over."""
    folder = studio.home / "staging"
    deadline = time.monotonic() + 20
    while folder.exists() and os.listdir(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return os.listdir(folder) if folder.exists() else []


@pytest.mark.engine
def test_an_upload_becomes_a_version_that_can_be_downloaded(studio: Studio, token: str, slug: str) -> None:
    path = f"/api/v1/projects/{slug}/datasets"
    body, key = multipart(CHURN, fields={"name": "churn"}), {"Idempotency-Key": "the first upload"}
    status, made = send(studio, path, token, body, **key)
    assert (status, made["latest"]["state"]) == (201, "pending")
    assert send(
        studio,
        path,
        token,
        body.replace(BOUNDARY.encode(), b"another"),
        **key | {"Content-Type": "multipart/form-data; boundary=another"},
    ) == (201, made)
    status, answer = send(studio, path, token, multipart(CHURN[:-1], fields={"name": "churn"}), **key)
    assert (status, answer["error"]["code"]) == (422, "idempotency.mismatch"), "a file counts by its bytes"
    version = settled(studio, token, slug, "churn")
    assert (version["state"], version["rows"], version["error"]) == ("ready", 500, None)
    status, text = studio.call("GET", f"{path}/churn/versions/1/download?format=csv", token=token)
    assert (status, len(text.splitlines())) == (200, 501)
    status, answer = send(studio, path, token, multipart(CHURN, fields={"name": "churn"}))
    assert (status, answer["error"]["code"]) == (409, "dataset.exists")
    assert staged(studio) == []


@pytest.mark.engine
def test_a_chunked_upload_without_a_size_is_received(studio: Studio, token: str, slug: str) -> None:
    body = multipart(CHURN, fields={"name": "chunked"})
    pieces: Iterator[bytes] = (body[start : start + 1_000] for start in range(0, len(body), 1_000))
    status, made = send(studio, f"/api/v1/projects/{slug}/datasets", token, pieces)
    assert (status, made["name"]) == (201, "chunked")
    assert settled(studio, token, slug, "chunked")["rows"] == 500


@pytest.mark.engine
def test_a_file_that_is_no_table_fails_with_its_sentence(studio: Studio, token: str, slug: str) -> None:
    body = multipart(b"a,b\n1,2\n3\n", fields={"name": "ragged"})
    assert send(studio, f"/api/v1/projects/{slug}/datasets", token, body)[0] == 201
    version = settled(studio, token, slug, "ragged")
    assert version["error"]["message"] == "Line 3 has 1 value where the header has 2."


@pytest.mark.engine
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_cut_upload_leaves_nothing(studio: Studio, token: str, slug: str, share: float) -> None:
    name = f"cut-{int(share * 1000)}"
    body = multipart(os.urandom(3_000_000), fields={"name": name})
    head = (
        f"POST /api/v1/projects/{slug}/datasets HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", studio.port)) as connection:
        connection.sendall(head.encode() + body[: int(len(body) * share)])
    assert staged(studio) == []
    assert studio.call("GET", f"/api/v1/projects/{slug}/datasets/{name}", token=token)[0] == 404


@pytest.mark.engine
def test_nobody_and_strangers_are_refused_before_they_send(studio: Studio, slug: str) -> None:
    status, answer = send(studio, f"/api/v1/projects/{slug}/datasets", "atl_nobody", multipart(CHURN))
    assert (status, "message" in answer["error"]) == (401, True)


@pytest.mark.browser
def test_a_person_uploads_a_table_and_watches_it_become_ready(
    admin_page: Any, slug: str, tmp_path: Path
) -> None:
    (tmp_path / "my churn.csv").write_bytes(CHURN)
    page = admin_page
    page.goto(f"/p/{slug}/datasets/new")
    page.set_input_files("input[type=file]", tmp_path / "my churn.csv")
    assert page.input_value("input[name=name]") == "my-churn"
    page.click("form[data-upload] button[type=submit]")
    page.wait_for_url("**/datasets/my-churn/versions/1/")
    page.wait_for_selector("#version-live:has-text('Distribution')", timeout=60_000)
    page.wait_for_selector("#version-actions:has-text('Start a run on this version')")
    page.goto(f"/p/{slug}/datasets/my-churn/versions/1/columns?column=age")
    page.wait_for_selector("#column-chart .main-svg")
    page.goto(f"/p/{slug}/datasets/new")
    page.set_input_files("input[type=file]", tmp_path / "my churn.csv")
    page.click("form[data-upload] button[type=submit]")
    page.wait_for_selector(".field-errors:has-text('There is already a dataset')")
    # The chosen file is still there: another name is all it takes.
    page.fill("input[name=name]", "second")
    page.click("form[data-upload] button[type=submit]")
    page.wait_for_url("**/datasets/second/versions/1/")


@pytest.mark.browser
def test_the_upload_works_without_javascript(
    browser: Any, studio: Studio, admin_page: Any, slug: str, tmp_path: Path
) -> None:
    (tmp_path / "plain.csv").write_bytes(CHURN)
    context = browser.new_context(
        base_url=studio.url, java_script_enabled=False, storage_state=admin_page.context.storage_state()
    )
    page = context.new_page()
    page.goto(f"/p/{slug}/datasets/new")
    page.set_input_files("input[type=file]", tmp_path / "plain.csv")
    page.fill("input[name=name]", "plain")
    page.click("form[data-upload] button[type=submit]")
    page.wait_for_url("**/datasets/plain/versions/1/")
    context.close()


@pytest.mark.browser
def test_the_page_of_a_version_that_could_not_be_read_passes_axe_and_fits_a_phone(
    studio: Studio, admin_page: Any, token: str, slug: str
) -> None:
    """The tests of the tour look at the pages of versions that could be read."""
    send(studio, f"/api/v1/projects/{slug}/datasets", token, multipart(b"1,2\n3,4\n", fields={"name": "odd"}))
    assert settled(studio, token, slug, "odd")["state"] == "failed"
    admin_page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    admin_page.set_viewport_size({"width": 390, "height": 900})
    admin_page.goto(f"/p/{slug}/datasets/odd/versions/1/")
    assert not admin_page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert violations(admin_page) == []
