"""The job kinds: what a child is given, what is kept of its result, and what an end without success leaves."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.storage import get_store
from adapters.storage.staging import stage
from apps.deployments import feedback
from apps.deployments.actions import create_deployment
from apps.deployments.models import Deployment, EventImport, InferenceSegment, Revision
from apps.deployments.states import ImportState, RevisionState
from apps.jobs.handlers import handler_for
from apps.jobs.models import Job
from foundation.errors import Conflict, Invalid

from .conftest import BUNDLE

pytestmark = pytest.mark.django_db


@pytest.fixture
def built(studio: Any, source: Any, tmp_path: Path) -> tuple[Deployment, Job]:
    deployment = create_deployment(
        actor=studio.actor(studio.owner), project=studio.project, name="live", model="churn/1"
    )
    file = tmp_path / "MLmodel"
    file.write_text("flavors: {}\n")
    get_store().put(file, "models/churn/1/MLmodel")
    return deployment, Job.objects.get(kind="deployments.build")


def test_the_child_gets_each_file_of_the_model(built: tuple[Deployment, Job]) -> None:
    plan = handler_for("deployments.build").prepare(built[1])
    assert plan.payload["files"] == {"f0": "MLmodel"}
    assert Path(plan.inputs["f0"]).read_text() == "flavors: {}\n"
    assert plan.payload["labels"]["model"] == "churn/1"


def test_files_that_are_gone_fail_the_build(built: tuple[Deployment, Job]) -> None:
    get_store().delete("models/churn/1/MLmodel")
    with pytest.raises(Invalid, match="are gone"):
        handler_for("deployments.build").prepare(built[1])


def test_a_finished_build_is_kept_under_its_attempt(built: tuple[Deployment, Job], tmp_path: Path) -> None:
    handler = handler_for("deployments.build")
    (tmp_path / "bento" / "src").mkdir(parents=True)
    (tmp_path / "bento" / "bento.yaml").write_text("x")
    (tmp_path / "bento" / "src" / "service.py").write_text("y")
    result = {"bundle": BUNDLE, "files": ["bento.yaml", "src/service.py"]}
    kept = handler.collect(built[1], result, tmp_path)
    handler.complete(built[1], kept, tmp_path)
    revision = Revision.objects.get()
    assert revision.state == RevisionState.BUILT
    assert revision.bundle["columns"] == BUNDLE["columns"]
    assert sorted(get_store().list(revision.bento_prefix)) == [
        f"{revision.bento_prefix}/bento.yaml",
        f"{revision.bento_prefix}/src/service.py",
    ]


@pytest.mark.parametrize("name", ["../outside", "link", "nothing", "/etc/passwd"])
def test_a_hostile_build_cannot_hand_over_other_files(
    built: tuple[Deployment, Job], tmp_path: Path, name: str
) -> None:
    (tmp_path / "bento").mkdir()
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "bento" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(Invalid, match="did not make"):
        handler_for("deployments.build").collect(built[1], {"bundle": {}, "files": [name]}, tmp_path)


def test_a_failed_build_says_why(built: tuple[Deployment, Job]) -> None:
    job = built[1]
    job.state, job.reason = "failed", "The model has no signature."
    handler_for("deployments.build").ended(job)
    revision = Revision.objects.get()
    assert (revision.state, revision.reason) == ("failed", "The model has no signature.")


@pytest.fixture
def importing(studio: Any, deployment: Deployment) -> tuple[EventImport, Job]:
    return feedback.import_events(
        actor=studio.actor(studio.owner), deployment=deployment, staged=staged(studio)
    )


def staged(studio: Any) -> Any:
    return stage(
        [b"timestamp,prediction\n"], filename="e.csv", project_id=studio.project.pk, user_id=None, limit=1000
    )


def test_an_import_becomes_segments_and_its_upload_is_dropped(
    importing: tuple[EventImport, Job], tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    record, job = importing
    handler = handler_for("deployments.import_events")
    plan = handler.prepare(job)
    assert Path(plan.inputs["file"]).read_bytes() == b"timestamp,prediction\n"
    assert [column["name"] for column in plan.payload["columns"]] == ["Age", "Balance", "Geography"]
    (tmp_path / "a.parquet").write_bytes(b"1234")
    times = {"start": "2021-04-01T00:00:00+00:00", "end": "2021-04-02T00:00:00+00:00"}
    result = {"rows": 7, "labelled": 2, **times, "segments": [{"file": "a.parquet", "rows": 7, **times}]}
    kept = handler.collect(job, result, tmp_path)
    with django_capture_on_commit_callbacks(execute=True):
        handler.complete(job, kept, tmp_path)
    record.refresh_from_db()
    assert (record.state, record.rows, record.labelled) == (ImportState.READY, 7, 2)
    segment = InferenceSegment.objects.get()
    assert (segment.rows, segment.bytes, segment.origin, segment.import_id) == (7, 4, "import", record.pk)
    assert segment.start == datetime.datetime(2021, 4, 1, tzinfo=datetime.UTC)
    assert "/2021-04/" in segment.key
    assert not get_store().exists(record.upload_key)


def test_the_same_file_is_taken_once_unless_it_failed(
    studio: Any,
    deployment: Deployment,
    importing: tuple[EventImport, Job],
    django_capture_on_commit_callbacks: Any,
) -> None:
    actor = studio.actor(studio.owner)
    with pytest.raises(Conflict, match="was imported before"):
        feedback.import_events(actor=actor, deployment=deployment, staged=staged(studio))
    record, job = importing
    job.state, job.reason = "failed", "The file has no rows."
    with django_capture_on_commit_callbacks(execute=True):
        handler_for("deployments.import_events").ended(job)
    record.refresh_from_db()
    assert (record.state, record.reason) == ("failed", "The file has no rows.")
    again, _ = feedback.import_events(actor=actor, deployment=deployment, staged=staged(studio))
    assert again.state == ImportState.IMPORTING


def test_events_wait_for_the_first_build(studio: Any, deployment: Deployment) -> None:
    Revision.objects.update(bento_prefix="", bundle={})
    with pytest.raises(Conflict, match="no built revision"):
        feedback.import_events(actor=studio.actor(studio.owner), deployment=deployment, staged=staged(studio))
    assert not EventImport.objects.exists()
