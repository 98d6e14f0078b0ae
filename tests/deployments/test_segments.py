"""From the spool to Parquet: nothing is lost, nothing appears twice, whenever the process dies."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow.parquet as pq
import pytest

from apps.deployments import layout, segments
from apps.deployments.inferences import (
    count_inferences,
    get_inference,
    inference_window,
    known_ids,
    list_inferences,
)
from apps.deployments.models import Deployment, InferenceLabel, InferenceSegment
from foundation.ids import uuid7
from gateway.capture import Spool
from gateway.ports import Column, Route, Signature

pytestmark = pytest.mark.django_db

UTC = datetime.UTC


def route_of(deployment: Deployment) -> Route:
    return Route(
        deployment_id=deployment.pk,
        name=deployment.name,
        project_id=deployment.project_id,
        project_slug="bank-churn",
        revision=1,
        model="churn/1",
        socket=None,
        signature=Signature(
            columns=(
                Column("Age", "integer"),
                Column("Balance", "number"),
                Column("Geography", "string", False),
            )
        ),
        state="ready",
    )


def lines(count: int, *, offset: int = 0) -> list[dict[str, Any]]:
    made = []
    for index in range(count):
        inference = uuid7()
        moment = layout.time_of_id(inference).isoformat(timespec="milliseconds")
        row = [offset + index, 0.5, None if index % 2 else "Spain"]
        made.append({"id": str(inference), "t": moment, "x": row, "y": float(index), "ms": 1.5, "q": "r"})
    return made


def ids(deployment: Deployment) -> list[UUID]:
    """All recorded ids, page by page."""
    found: list[UUID] = []
    before = None
    while True:
        page = list_inferences(deployment, limit=7, before=before)
        found += [i.id for i in page.items]
        if page.next is None:
            return found
        before = UUID(page.next)


def test_a_closed_file_becomes_a_segment(deployment: Deployment, spool: Path) -> None:
    writer = Spool(spool)
    written = lines(20)
    writer(route_of(deployment), written)
    writer.rotate(everything=True)
    assert segments.seal_all(folder=spool) == 1
    row = InferenceSegment.objects.get()
    assert (row.rows, row.revision, row.origin) == (20, 1, "predict")
    assert list(spool.rglob("*.*")) == []
    table = pq.read_table(segments_path(row))
    assert table.column("Age").to_pylist() == list(range(20))
    assert str(table.schema.field("Balance").type) == "double"
    assert table.column("Geography").to_pylist()[:2] == ["Spain", None]
    assert ids(deployment) == sorted((UUID(line["id"]) for line in written), reverse=True)


def segments_path(row: InferenceSegment) -> Path:
    from adapters.storage import get_store

    return get_store().local(row.key)


def test_what_is_still_in_the_spool_is_read_too(deployment: Deployment, spool: Path) -> None:
    writer = Spool(spool)
    first, second = lines(5), lines(5, offset=100)
    writer(route_of(deployment), first)
    writer.rotate(everything=True)
    segments.seal_all(folder=spool)
    writer(route_of(deployment), second)
    assert count_inferences(deployment) == 10
    assert ids(deployment) == sorted((UUID(x["id"]) for x in first + second), reverse=True)
    found = get_inference(deployment, UUID(second[0]["id"]))
    assert found is not None
    assert found.features["Age"] == 100
    writer.rotate(everything=True)


def test_a_file_whose_writer_lives_is_left_alone(deployment: Deployment, spool: Path) -> None:
    writer = Spool(spool)
    writer(route_of(deployment), lines(3))
    assert segments.seal_all(folder=spool) == 0
    writer(route_of(deployment), lines(3))
    writer.rotate(everything=True)
    segments.seal_all(folder=spool)
    assert len(ids(deployment)) == 6


def test_a_killed_writer_loses_nothing(deployment: Deployment, spool: Path) -> None:
    program = textwrap.dedent(
        f"""
        import os, sys, signal
        sys.path[:0] = {[p for p in sys.path if p]!r}
        from uuid import UUID
        from pathlib import Path
        from gateway.capture import Spool
        from gateway.ports import Column, Route, Signature
        from foundation.ids import uuid7
        route = Route(UUID("{deployment.pk}"), "churn", UUID("{deployment.project_id}"), "p", 1, "churn/1", None,
                      Signature(columns=(Column("Age", "integer"),)), "ready")
        spool = Spool(Path({str(spool)!r}))
        for index in range(50):
            i = uuid7()
            spool(route, [{{"id": str(i), "t": "2026-01-01T00:00:00.000+00:00", "x": [index], "y": 1, "ms": 1, "q": ""}}])
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert [p.suffix for p in spool.rglob("*.*")] == [".open"]
    assert count_inferences(deployment) == 50
    assert segments.seal_all(folder=spool) == 1
    assert InferenceSegment.objects.get().rows == 50


@pytest.mark.parametrize("crash", ["before the store", "after the store", "after the row"])
def test_a_crash_of_the_sealer_repeats_without_doubling(
    deployment: Deployment, spool: Path, monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    writer = Spool(spool)
    written = lines(10)
    writer(route_of(deployment), written)
    writer.rotate(everything=True)

    class Died(BaseException):
        pass

    def die(*args: Any, **kwargs: Any) -> Any:
        raise Died

    with monkeypatch.context() as patched:
        if crash == "before the store":
            patched.setattr(segments, "_store_table", die)
        elif crash == "after the store":
            patched.setattr(InferenceSegment.objects, "bulk_create", die)
        else:
            patched.setattr(Path, "unlink", die)
        with pytest.raises(Died):
            segments.seal_all(folder=spool)
    expected = sorted((UUID(x["id"]) for x in written), reverse=True)
    assert ids(deployment) == expected, "a reader between crash and repetition sees each once"
    segments.seal_all(folder=spool)
    segments.seal_all(folder=spool)
    assert ids(deployment) == expected
    assert InferenceSegment.objects.count() == 1
    assert list(spool.rglob("*.*")) == []


def test_a_copy_of_a_sealed_file_is_not_sealed_again(
    deployment: Deployment, spool: Path, tmp_path: Path
) -> None:
    writer = Spool(spool)
    writer(route_of(deployment), lines(4))
    writer.rotate(everything=True)
    [path] = spool.rglob("*.jsonl")
    kept = tmp_path / path.name
    shutil.copy(path, kept)
    segments.seal_all(folder=spool)
    shutil.copy(kept, path)
    assert len(ids(deployment)) == 4
    assert segments.seal_all(folder=spool) == 0
    assert not path.exists()


def test_half_a_line_at_the_end_is_left_out(deployment: Deployment, spool: Path) -> None:
    writer = Spool(spool)
    writer(route_of(deployment), lines(4))
    writer.rotate(everything=True)
    [path] = spool.rglob("*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"id": "0193')
    segments.seal_all(folder=spool)
    assert InferenceSegment.objects.get().rows == 4


def test_a_damaged_file_is_kept_aside_and_the_others_are_sealed(deployment: Deployment, spool: Path) -> None:
    writer = Spool(spool)
    writer(route_of(deployment), lines(4))
    writer.rotate(everything=True)
    folder = spool / str(deployment.pk)
    (folder / f"{uuid7()}.jsonl").write_bytes(b"\x00\x01garbage\nmore\n")
    assert segments.seal_all(folder=spool) == 1
    assert [p.suffix for p in folder.iterdir()] == [".broken"]


def test_files_of_a_purged_deployment_are_removed(spool: Path) -> None:
    folder = spool / str(uuid4())
    folder.mkdir(parents=True)
    header = f'{{"deployment": "{folder.name}", "revision": 1, "model": "m", "columns": [], "classes": []}}'
    (folder / f"{uuid7()}.jsonl").write_text(header + '\n{"id": "x"}\n')
    segments.seal_all(folder=spool)
    assert list(folder.iterdir()) == []


def test_a_window_is_given_as_files_with_the_labels_told_later(
    deployment: Deployment, spool: Path, tmp_path: Path
) -> None:
    writer = Spool(spool)
    sealed, pending = lines(6), lines(3)
    writer(route_of(deployment), sealed)
    writer.rotate(everything=True)
    segments.seal_all(folder=spool)
    writer(route_of(deployment), pending)
    told = UUID(pending[0]["id"])
    InferenceLabel.objects.create(deployment=deployment, inference_id=told, value=True)
    start = layout.time_of_id(UUID(sealed[0]["id"]))
    end = datetime.datetime.now(UTC) + datetime.timedelta(seconds=1)
    window = inference_window(deployment, start, end, folder=tmp_path)
    rows = [row for path in window.paths for row in pq.read_table(path).to_pylist()]
    assert {row[layout.ID] for row in rows} == {x["id"] for x in sealed + pending}
    assert window.labels is not None
    assert pq.read_table(window.labels).to_pylist() == [{"id": str(told), "label": "true"}]
    empty = inference_window(deployment, end, end + datetime.timedelta(days=1), folder=tmp_path)
    assert not any(pq.read_table(p, filters=[(layout.TIME, ">=", end)]).num_rows for p in empty.paths)
    writer.rotate(everything=True)


def test_known_ids_are_told_from_strangers(deployment: Deployment, spool: Path) -> None:
    writer = Spool(spool)
    written = lines(3)
    writer(route_of(deployment), written[:2])
    writer.rotate(everything=True)
    segments.seal_all(folder=spool)
    writer(route_of(deployment), written[2:])
    mine = {UUID(x["id"]) for x in written}
    assert known_ids(deployment, mine | {uuid7(), uuid4()}) == mine
    writer.rotate(everything=True)


def test_a_full_disk_leaves_no_half_line(
    deployment: Deployment, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Spool(spool)
    writer(route_of(deployment), lines(2))
    real = os.write

    def short(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patched:
        patched.setattr("gateway.capture.os.write", short)
        with pytest.raises(Exception, match="disk is full"):
            writer(route_of(deployment), lines(1))
    writer(route_of(deployment), lines(1))
    writer.rotate(everything=True)
    segments.seal_all(folder=spool)
    assert InferenceSegment.objects.get().rows == 3
