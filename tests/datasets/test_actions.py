"""The life of datasets and versions, with the real store and the real reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foundation.errors import Conflict, Invalid
from tests.support.datasets import CHURN, ready_version, register, run_inline, stage_bytes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home")]
RAGGED = b"a,b\n1,2\n3\n"


def files(home: Path, below: str) -> list[Path]:
    return [path for path in (home / "objects" / below).rglob("*") if path.is_file()]


def test_a_dataset_is_registered_and_its_first_version_read(
    people: Any, home: Path, django_capture_on_commit_callbacks: Any
) -> None:
    from apps.datasets.queries import profile_of, version_inputs

    dataset = register(people)
    version = dataset.versions.get()
    assert (version.number, version.state, version.job.kind, version.upload_bytes) == (
        1,
        "pending",
        "datasets.ingest",
        len(CHURN),
    )
    assert len(files(home, "projects")) == 1
    assert list((home / "staging").iterdir()) == []
    with django_capture_on_commit_callbacks(execute=True):
        job = run_inline(version.job)
    version.refresh_from_db()
    assert (job.state, version.state, version.rows, version.columns) == ("succeeded", "ready", 5, 5)
    assert version.schema[1] == {"name": "income", "type": "float", "nullable": True}
    assert version.bytes == sum(path.stat().st_size for path in files(home, "teams"))
    assert [Path(path).read_bytes()[:4] for path in version_inputs(version).values()] == [b"PAR1"]
    profile = profile_of(version)
    assert profile is not None
    assert [column["name"] for column in profile.columns] == ["age", "income", "city", "member", "left"]
    assert profile.preview["rows"][0] == [34, 52000.5, "Rome", True, "no"]
    assert files(home, "projects") == []


def test_it_leaves_an_audit_row_and_a_lineage_node(people: Any) -> None:
    from apps.accounts.models import AuditEvent
    from apps.lineage.models import Node

    version = ready_version(people)
    event = AuditEvent.objects.get(action="dataset.create")
    assert (event.subject_title, event.user, event.project) == ("churn", people.contributor, people.project)
    node = Node.objects.get(kind="dataset_version", key=str(version.pk))
    assert (node.name, node.state, node.url) == ("churn@1", "ready", "/p/shop/datasets/churn/versions/1/")


def test_a_file_that_is_no_table_leaves_a_failed_version_with_its_reason(
    people: Any, home: Path, django_capture_on_commit_callbacks: Any
) -> None:
    version = register(people, RAGGED).versions.get()
    with django_capture_on_commit_callbacks(execute=True):
        job = run_inline(version.job)
    version.refresh_from_db()
    assert (job.state, version.state, version.error_code) == ("failed", "failed", "dataset.unreadable")
    assert version.error_message == "Line 3 has 1 value where the header has 2."
    assert version.error_detail["line"] == 3
    assert files(home, "teams") == []


def test_a_failed_reading_can_be_tried_again_with_other_options(
    people: Any, django_capture_on_commit_callbacks: Any
) -> None:
    from apps.datasets.actions import retry_version

    version = register(people, b"1,x\n2,y\n").versions.get()
    run_inline(version.job)
    version.refresh_from_db()
    assert version.error_code == "dataset.no_header"
    again = retry_version(actor=people.actor("contributor"), version=version, options={"header": "no"})
    assert (again.state, again.error_message) == ("pending", "")
    run_inline(again.job)
    again.refresh_from_db()
    assert (again.state, again.rows) == ("ready", 2)
    with pytest.raises(Conflict) as caught:
        retry_version(actor=people.actor("contributor"), version=again)
    assert caught.value.code == "dataset.not_failed"


def test_a_reading_whose_upload_is_gone_cannot_be_tried_again(people: Any, home: Path) -> None:
    from apps.datasets.actions import retry_version

    version = register(people, RAGGED).versions.get()
    run_inline(version.job)
    version.refresh_from_db()
    files(home, "projects")[0].unlink()
    with pytest.raises(Conflict) as caught:
        retry_version(actor=people.actor("contributor"), version=version)
    assert caught.value.code == "dataset.upload_gone"


def test_a_cancelled_reading_fails_the_version(people: Any) -> None:
    from apps.jobs.actions import request_cancel

    version = register(people).versions.get()
    request_cancel(job=version.job, actor=people.actor("contributor"))
    version.refresh_from_db()
    assert (version.state, version.error_code) == ("failed", "job.cancelled")
    assert "Cancelled by contributor" in version.error_message


def test_versions_count_up_and_equal_content_is_noted(people: Any) -> None:
    first = ready_version(people)
    second = ready_version(people, CHURN.replace(b",", b";"))
    third = ready_version(people, CHURN + b"60,1,Rome,true,no\n")
    assert [first.number, second.number, third.number] == [1, 2, 3]
    assert first.digest == second.digest != third.digest
    assert first.upload_digest != second.upload_digest
    assert second.notes == ["The content is the same as that of version 1."]
    assert third.notes == []


def test_equal_parts_are_stored_once_per_team_and_go_with_the_last_reference(people: Any, home: Path) -> None:
    from apps.datasets.actions import purge_dataset, trash_dataset

    ready_version(people, name="one")
    ready_version(people, name="two")
    assert len(files(home, "teams")) == 1
    actor = people.actor("maintainer")
    for name, left in (("one", 1), ("two", 0)):
        from apps.datasets.models import Dataset

        dataset = Dataset.objects.get(name=name)
        with pytest.raises(Conflict) as caught:
            purge_dataset(actor=actor, dataset=dataset)
        assert caught.value.code == "dataset.not_trashed"
        trash_dataset(actor=actor, dataset=dataset)
        purge_dataset(actor=actor, dataset=dataset)
        assert len(files(home, "teams")) == left


@pytest.mark.parametrize("name", ["", "a/b", "-x", "a\0b", "x" * 300, "über", " x"])
def test_a_bad_name_makes_nothing(people: Any, home: Path, name: str) -> None:
    from apps.datasets.models import Dataset

    with pytest.raises(Invalid) as caught:
        register(people, name=name)
    assert caught.value.code == "name.invalid"
    assert not Dataset.objects.exists()
    assert files(home, "") == []


def test_a_name_in_use_is_a_conflict_and_the_upload_is_not_kept(people: Any, home: Path) -> None:
    register(people)
    before = files(home, "projects")
    with pytest.raises(Conflict) as caught:
        register(people)
    assert caught.value.code == "dataset.exists"
    assert files(home, "projects") == before


def test_a_failing_transaction_takes_the_upload_with_it(
    people: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.datasets import actions

    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(actions, "put_in_lineage", broken)
    with pytest.raises(RuntimeError):
        register(people)
    assert files(home, "") == []


def test_renaming_keeps_versions_and_moves_their_lineage(people: Any) -> None:
    from apps.datasets.actions import update_dataset
    from apps.lineage.models import Node

    version = ready_version(people)
    renamed = update_dataset(
        actor=people.actor("contributor"), dataset=version.dataset, name="bank", description="All of them"
    )
    assert (renamed.name, renamed.description) == ("bank", "All of them")
    node = Node.objects.get(key=str(version.pk))
    assert (node.name, node.url) == ("bank@1", "/p/shop/datasets/bank/versions/1/")


def test_a_name_is_free_again_while_its_dataset_is_in_the_trash(people: Any) -> None:
    from apps.datasets.actions import restore_dataset, trash_dataset
    from apps.datasets.models import Dataset
    from apps.lineage.models import Node

    actor = people.actor("contributor")
    first = ready_version(people).dataset
    trash_dataset(actor=actor, dataset=first)
    assert not Node.objects.get(kind="dataset_version").alive
    second = register(people)
    with pytest.raises(Conflict, match="rename that one first") as caught:
        restore_dataset(actor=actor, dataset=first)
    assert caught.value.code == "dataset.exists"
    trash_dataset(actor=actor, dataset=second)
    restore_dataset(actor=actor, dataset=first)
    assert Dataset.objects.alive().get().pk == first.pk
    assert Node.objects.get(key=str(first.versions.get().pk)).alive


def test_a_version_in_the_trash_is_not_what_the_name_means(people: Any) -> None:
    from apps.datasets.access import get_usable_version
    from apps.datasets.actions import restore_version, trash_version

    actor = people.actor("contributor")
    ready_version(people)
    second = ready_version(people, CHURN + b"60,1,Rome,true,no\n")
    assert get_usable_version(actor, people.project, "churn").number == 2
    trash_version(actor=actor, version=second)
    assert get_usable_version(actor, people.project, "churn").number == 1
    restore_version(actor=actor, version=second)
    assert get_usable_version(actor, people.project, "churn").number == 2


def test_a_reference_means_the_newest_ready_version_or_the_named_one(people: Any) -> None:
    from apps.datasets.access import get_usable_version
    from apps.datasets.actions import add_version
    from foundation.errors import NotFound

    actor, project = people.actor("viewer"), people.project
    version = ready_version(people)
    pending = add_version(
        actor=people.actor("contributor"), dataset=version.dataset, staged=stage_bytes(project, RAGGED)
    )
    assert get_usable_version(actor, project, "churn").pk == version.pk
    assert get_usable_version(actor, project, "churn@1").pk == version.pk
    for reference, error, code in (
        ("churn@2", Conflict, "dataset.not_ready"),
        ("churn@3", NotFound, "dataset.version_not_found"),
        ("churn@99999999999999", NotFound, "dataset.version_not_found"),
        ("other", NotFound, "dataset.not_found"),
        ("churn@x", Invalid, "dataset.reference"),
        ("@1", Invalid, "dataset.reference"),
        ("a\0b", NotFound, "dataset.not_found"),
    ):
        with pytest.raises(error) as caught:
            get_usable_version(actor, project, reference)
        assert caught.value.code == code
    run_inline(pending.job)
    with pytest.raises(Conflict) as caught:
        get_usable_version(actor, project, "churn@2")
    assert "Line 3 has 1 value" in caught.value.message


def test_a_hostile_result_is_not_believed(people: Any, tmp_path: Path) -> None:
    from apps.datasets import contents
    from foundation.errors import AtelierError

    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "part-00000.parquet").symlink_to("/etc/passwd")
    for name in ("part-00000.parquet", "../part-00000.parquet", "/etc/passwd", "profile.json"):
        with pytest.raises(AtelierError):
            contents.collect_parts(people.team.pk, [{"file": name, "rows": 1}], outputs)
    (outputs / "part-00001.parquet").write_bytes(b"real bytes")
    found = contents.collect_parts(
        people.team.pk, [{"file": "part-00001.parquet", "rows": 1, "sha256": "0" * 64}], outputs
    )
    assert found[0]["sha256"] != "0" * 64


def test_the_sweep_takes_only_what_nobody_refers_to(people: Any, home: Path) -> None:
    from adapters.storage import get_store
    from apps.datasets import contents

    version = ready_version(people)
    pending = register(people, name="other").versions.get()
    team = people.team.pk
    get_store().put_bytes(b"orphan", contents.part_key(team, "ab" * 32))
    get_store().put_bytes(b"orphan", f"projects/{people.project.pk.hex}/uploads/{'0' * 32}")
    assert contents.sweep_parts(older_than=3_600) == contents.sweep_uploads(older_than=3_600) == 0
    assert contents.sweep_parts(older_than=-60) == 1
    assert contents.sweep_uploads(older_than=-60) >= 1
    assert get_store().exists(version.parts.get().key)
    assert get_store().exists(pending.upload_key)


def test_a_part_that_was_removed_meanwhile_is_stored_again(
    people: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.datasets import contents

    real = contents.collect_parts

    def removed_after(*arguments: Any) -> Any:
        found = real(*arguments)
        for path in files(home, "teams"):
            path.unlink()
        return found

    monkeypatch.setattr(contents, "collect_parts", removed_after)
    version = ready_version(people)
    assert version.is_ready
    assert len(files(home, "teams")) == 1
