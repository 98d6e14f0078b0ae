"""One contract, held by every store: the local folder, a remote file system, and the fake in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.storage import (
    MemoryStore,
    ObjectStore,
    configure,
    content_key,
    factory,
    get_store,
    open_store,
    reset_store,
)
from adapters.storage.local import LocalStore
from adapters.storage.remote import RemoteStore
from foundation.errors import Invalid, NoSpace, NotFound


@pytest.fixture(params=["local", "remote", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "local":
        return LocalStore(tmp_path / "store")
    if request.param == "remote":
        import fsspec

        return RemoteStore(fsspec.filesystem("memory"), f"/bucket-{uuid4().hex}/prefix", tmp_path / "cache")
    return MemoryStore()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(b"some bytes")
    return path


def test_what_was_put_can_be_read_in_every_way(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    assert store.put(source, "a/b/c.bin") == 10
    assert source.exists()
    assert store.exists("a/b/c.bin")
    assert store.size("a/b/c.bin") == 10
    assert store.local("a/b/c.bin").read_bytes() == b"some bytes"
    with store.open("a/b/c.bin") as reading:
        reading.seek(5)
        assert reading.read() == b"bytes"
    assert store.get("a/b/c.bin", tmp_path / "copy") == 10
    assert (tmp_path / "copy").read_bytes() == b"some bytes"
    assert store.modified("a/b/c.bin") > 1_600_000_000


def test_a_moved_file_is_consumed(store: ObjectStore, source: Path) -> None:
    store.put(source, "moved.bin", move=True)
    assert not source.exists()
    assert store.local("moved.bin").read_bytes() == b"some bytes"


def test_a_second_put_replaces_the_bytes(store: ObjectStore, source: Path) -> None:
    store.put(source, "k")
    store.local("k")
    store.put_bytes(b"other, longer bytes", "k")
    assert store.size("k") == 19
    assert store.local("k").read_bytes() == b"other, longer bytes"


def test_a_missing_key_is_not_found(store: ObjectStore, tmp_path: Path) -> None:
    assert not store.exists("nothing")
    assert store.delete("nothing") is False
    for call in (
        store.size,
        store.open,
        store.local,
        store.modified,
        lambda key: store.get(key, tmp_path / "x"),
    ):
        with pytest.raises(NotFound) as caught:
            call("nothing")
        assert caught.value.code == "storage.missing"
    assert not (tmp_path / "x").exists()


def test_a_deleted_key_is_gone_and_its_neighbours_stay(store: ObjectStore) -> None:
    store.put_bytes(b"1", "folder/one")
    store.put_bytes(b"2", "folder/two")
    assert store.delete("folder/one") is True
    assert list(store.list("folder")) == ["folder/two"]


def test_a_listing_is_sorted_and_keeps_to_the_folder(store: ObjectStore) -> None:
    for key in ("p/b", "p/a/c", "pq/x", "z"):
        store.put_bytes(b".", key)
    assert list(store.list("p")) == ["p/a/c", "p/b"]
    assert list(store.list("p/")) == ["p/a/c", "p/b"]
    assert list(store.list("")) == ["p/a/c", "p/b", "pq/x", "z"]
    assert list(store.list("absent")) == []


def test_sizes_are_told_in_one_walk(store: ObjectStore) -> None:
    for key, data in (("p/b", b"12"), ("p/a/c", b"345"), ("pq/x", b".")):
        store.put_bytes(data, key)
    assert dict(store.sizes("p")) == {"p/b": 2, "p/a/c": 3}
    assert dict(store.sizes("")) == {"p/b": 2, "p/a/c": 3, "pq/x": 1}
    assert dict(store.sizes("absent")) == {}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "./a",
        "a/.",
        "a\\b",
        "a\0b",
        "a\nb",
        "c:/x",
        "s3://b/x",
        "a/" * 600,
        "x" * 300,
        ".writing-abc",
        "a/",
    ],
)
def test_a_key_cannot_leave_the_store(store: ObjectStore, source: Path, key: str) -> None:
    for call in (store.exists, store.delete, store.open, store.local, lambda k: store.put(source, k)):
        with pytest.raises(Invalid) as caught:
            call(key)
        assert caught.value.code == "storage.key"


def test_equal_bytes_have_one_address_within_a_team_and_another_in_the_next() -> None:
    digest = "ab" * 32
    mine, yours = uuid4(), uuid4()
    assert content_key(mine, digest, ".parquet") == f"teams/{mine.hex}/objects/ab/{digest}.parquet"
    assert content_key(mine, digest) != content_key(yours, digest)
    with pytest.raises(Invalid):
        content_key(mine, "../../etc")


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path / "store")
    store.put_bytes(b"old", "key")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(NoSpace):
        store.put_bytes(b"new", "key")
    with pytest.raises(NoSpace):
        store.put_bytes(b"new", "other")
    monkeypatch.undo()
    assert store.local("key").read_bytes() == b"old"
    assert [path.name for path in (tmp_path / "store").rglob("*")] == ["key"]


def test_a_symlink_in_the_store_does_not_lead_out(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    (tmp_path / "store" / "door").symlink_to(tmp_path / "outside")
    (tmp_path / "store" / "file").symlink_to(tmp_path / "outside" / "secret")
    for key in ("door/secret", "file"):
        with pytest.raises(Invalid):
            store.open(key)


def test_a_full_store_says_so() -> None:
    with pytest.raises(NoSpace):
        MemoryStore(capacity=3).put_bytes(b"four", "key")


@pytest.mark.parametrize(
    "url",
    ["ftp://x/y", "s3://", "file://host/x", "relative/path", "s3://key:secret@bucket", "s3://b?colour=red"],
)
def test_a_bad_storage_address_is_refused_with_a_sentence(url: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        open_store(url, home=tmp_path)
    assert caught.value.code == "storage.url"
    assert "secret" not in str(caught.value.as_dict())


def test_the_process_uses_the_store_that_the_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_configured", "_store", "_address"):
        monkeypatch.setattr(factory, name, None)
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path))
    monkeypatch.delenv("ATELIER_STORAGE_URL", raising=False)
    first = get_store()
    assert isinstance(first, LocalStore)
    assert first.root == tmp_path / "objects"
    assert get_store() is first
    monkeypatch.setenv("ATELIER_STORAGE_URL", f"file://{tmp_path}/elsewhere")
    second = get_store()
    assert isinstance(second, LocalStore)
    assert second.root == tmp_path / "elsewhere"
    configure(url="", home=tmp_path / "told")
    third = get_store()
    assert isinstance(third, LocalStore)
    assert third.root == tmp_path / "told" / "objects"
    fake = MemoryStore()
    reset_store(fake)
    assert get_store() is fake
