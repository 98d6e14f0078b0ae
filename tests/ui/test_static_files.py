"""Static files: compressed once, fresh when they change, whole for clients that want them plain."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from atelier.static_files import CompressedStaticMiddleware, kept_copy

PLOTLY = "/static/vendor/plotly.min.js"


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_a_large_script_is_sent_compressed_and_is_the_same_script() -> None:
    client = Client()
    packed = client.get(PLOTLY, headers={"Accept-Encoding": "gzip, br"})
    plain = client.get(PLOTLY)
    assert packed["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain
    assert packed["Vary"] == plain["Vary"] == "Accept-Encoding"
    sent = body(packed)
    assert len(sent) == int(packed["Content-Length"]) < 1_600_000
    assert gzip.decompress(sent) == body(plain)


def test_what_the_browser_has_is_not_sent_again() -> None:
    client = Client()
    tag = client.get(PLOTLY)["ETag"]
    assert tag.startswith("W/"), "one tag for two forms is a weak one"
    assert client.get(PLOTLY, headers={"If-None-Match": tag, "Accept-Encoding": "gzip"}).status_code == 304


def test_a_small_file_stays_as_it_is() -> None:
    response = Client().get("/static/js/copy.js", headers={"Accept-Encoding": "gzip"})
    assert response.status_code == 200
    assert "Content-Encoding" not in response


def test_a_copy_is_made_anew_when_its_original_changed(tmp_path: Path) -> None:
    source, copy = tmp_path / "a.js", tmp_path / "cache" / "a.js.gz"
    source.write_text("first" * 1000)
    kept_copy(str(source), source.stat(), copy)
    inode = copy.stat().st_ino
    kept_copy(str(source), source.stat(), copy)
    assert copy.stat().st_ino == inode
    source.write_text("second" * 1000)
    os.utime(source, ns=(1, 1))
    kept_copy(str(source), source.stat(), copy)
    assert gzip.decompress(copy.read_bytes()) == b"second" * 1000
    assert [path.name for path in copy.parent.iterdir()] == ["a.js.gz"]


def test_a_home_that_cannot_be_written_still_serves_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    monkeypatch.setattr(settings, "CONFIG", type("Config", (), {"home": tmp_path}))
    files = CompressedStaticMiddleware(lambda request: None).files
    assert [encoding.pattern for encoding, _, _ in files[PLOTLY].alternatives] == [""]
