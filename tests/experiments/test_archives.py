"""Archives of code: what is taken, what is refused and why, and what a run of one remembers."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from apps.experiments.models import Run
from apps.experiments.sandbox import unpacking
from apps.experiments.scripts.intake import choose_entry, common_folder
from foundation.errors import Invalid
from foundation.tasks import UserError
from tests.experiments.test_scripts import RUNS, SOURCE, Send, allowed, error_of, send
from tests.support.people import People

__all__ = ["allowed", "send"]
FILES = {
    "train.py": SOURCE,
    "helper/__init__.py": b"",
    "helper/names.py": b"NAME = 'x'\n",
    "README.md": b"# hi\n",
}


def zipped(files: dict[str, bytes] | list[tuple[str, bytes]], **attributes: int) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = attributes.get(name.replace(".", "_"), 0) << 16
            archive.writestr(info, data)
    return made.getvalue()


def tarred(*members: tuple[str, bytes, bytes], mode: str = "w:gz", link: str = "train.py") -> bytes:
    """members: (name, type, content)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), link
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


REG, SYM, HARD, CHR, FIFO = (
    tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE
)  # fmt: skip


def pack(data: bytes, folder: Path) -> unpacking.Packed:
    return unpacking.pack_archive(io.BytesIO(data), folder / "code.zip")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar"])
def test_an_archive_becomes_its_files(tmp_path: Path, kind: str) -> None:
    members = [(name, REG, data) for name, data in FILES.items()]
    data = zipped(FILES) if kind == "zip" else tarred(*members, mode="w:gz" if kind == "tar.gz" else "w")
    packed = pack(data, tmp_path)
    assert (packed.files, packed.bytes) == (4, sum(map(len, FILES.values())))
    assert unpacking.unpack(tmp_path / "code.zip", tmp_path / "out") == 4
    laid = {
        str(p.relative_to(tmp_path / "out")): p.read_bytes()
        for p in (tmp_path / "out").rglob("*")
        if p.is_file()
    }
    assert laid == FILES


def test_what_tools_leave_behind_is_left_out(tmp_path: Path) -> None:
    noise = {
        ".git/config": b"x",
        "__MACOSX/._a": b"x",
        "a/__pycache__/b.pyc": b"x",
        "._train.py": b"x",
        ".DS_Store": b"x",
    }
    assert pack(zipped({**noise, "train.py": SOURCE}), tmp_path).files == 1


def test_the_right_to_be_executed_stays(tmp_path: Path) -> None:
    pack(zipped({"run.sh": b"ls", "train.py": SOURCE}, run_sh=0o755), tmp_path)
    unpacking.unpack(tmp_path / "code.zip", tmp_path / "out")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "out").iterdir()}
    assert modes == {"run.sh": 0o755, "train.py": 0o644}


def lying_zip() -> bytes:
    """A zip that says that its only file is small, and is not."""
    data = bytearray(zipped({"train.py": b"x" * 30_000_000}))
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    return bytes(data)


def many_entries() -> bytes:
    data = bytearray(zipped({"train.py": SOURCE}))
    at = data.rfind(b"PK\x05\x06")
    data[at + 10 : at + 12] = (65_000).to_bytes(2, "little")
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(zipped({"train.py": SOURCE}))
    data[6] |= 1
    at = data.rfind(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


def long_header() -> bytes:
    """A tar whose header of names says that it has 4 GB."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 4_000_000_000
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


BAD: list[tuple[str, Callable[[], bytes], str, str]] = [
    ("absolute path", lambda: zipped({"/etc/cron.d/x": b"x"}), "unsafe_path", "/etc/cron.d/x"),
    ("absolute in tar", lambda: tarred(("/etc/passwd", REG, b"x")), "unsafe_path", "/etc/passwd"),
    ("a drive", lambda: zipped({"C:\\x.py": b"x"}), "unsafe_path", "C:"),
    ("dots", lambda: zipped({"a/../../x.py": b"x"}), "unsafe_path", "lead out"),
    ("dots behind backslashes", lambda: zipped({"a\\..\\..\\x.py": b"x"}), "unsafe_path", "lead out"),
    ("dots in tar", lambda: tarred(("../x.py", REG, b"x")), "unsafe_path", "lead out"),
    ("dots of a folder", lambda: tarred(("../x", tarfile.DIRTYPE, b"")), "unsafe_path", "lead out"),
    ("a control character", lambda: tarred(("a\x1b[2Jb.py", REG, b"x")), "unsafe_path", "cannot be used"),
    ("a long name", lambda: zipped({"a" * 300: b"x"}), "unsafe_path", "cannot be used"),
    ("a symbolic link", lambda: tarred(("data", SYM, b""), link="/etc"), "link", "'data'"),
    ("a hard link", lambda: tarred(("data", HARD, b""), link="/etc/passwd"), "link", "'data'"),
    ("a link in a zip", lambda: zipped({"data": b"/etc"}, data=stat.S_IFLNK | 0o777), "link", "'data'"),
    ("a device", lambda: tarred(("null", CHR, b"")), "special", "'null'"),
    ("a pipe", lambda: tarred(("pipe", FIFO, b"")), "special", "'pipe'"),
    ("a device in a zip", lambda: zipped({"null": b""}, null=stat.S_IFCHR | 0o666), "special", "'null'"),
    ("twice", lambda: zipped([("a.py", b"1"), ("./a.py", b"2")]), "duplicate", "'a.py' twice"),
    ("file and folder", lambda: zipped({"a": b"1", "a/b.py": b"2"}), "duplicate", "file and a folder"),
    ("empty", lambda: zipped({}), "empty", "no file"),
    ("a folder only", lambda: tarred(("a", tarfile.DIRTYPE, b"")), "empty", "no file"),
    ("encrypted", encrypted, "encrypted", "password"),
    ("a bomb", lambda: zipped({"train.py": b"x" * 30_000_000}), "bomb", "100 times"),
    ("a bomb in gzip", lambda: tarred(("train.py", REG, bytes(30_000_000))), "bomb", "100 times"),
    ("a bomb that lies", lying_zip, "unreadable", "cannot be read"),
    ("many entries", many_entries, "too_many", "5,000"),
    ("a huge header", long_header, "unreadable", "cannot be read"),
    ("cut in the middle", lambda: tarred(("train.py", REG, bytes(range(256)) * 900))[:600], "unreadable", "cannot be"),
    ("cut zip", lambda: zipped(FILES)[:-30], "unreadable", "end is missing"),
    ("damaged", lambda: b"\x1f\x8b" + bytes(range(2, 200)), "unreadable", "cannot be read"),
    ("no tar inside", lambda: b"\x1f\x8b\x08\x00" + bytes(6) + zlib.compress(b"text")[2:], "unreadable", "cannot"),
    ("another kind", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(100), "kind", ".tar.gz"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "code", "says"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_no_archive_may_hold_is_refused(
    tmp_path: Path, make: Callable[[], bytes], code: str, says: str
) -> None:
    with pytest.raises(UserError) as caught:
        pack(make(), tmp_path)
    assert caught.value.code == f"archive.{code}"
    assert says in caught.value.message


def test_more_than_may_be_unpacked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "TOTAL_BYTES", 1000)
    with pytest.raises(UserError) as caught:
        pack(zipped({"a.py": bytes(600), "b.py": bytes(600)}), tmp_path)
    assert caught.value.code == "archive.too_large"
    monkeypatch.setattr(unpacking, "FILE_BYTES", 500)
    with pytest.raises(UserError) as caught:
        pack(zipped({"a.py": bytes(600)}), tmp_path)
    assert caught.value.detail["path"] == "a.py"
    monkeypatch.setattr(unpacking, "ENTRIES", 3)
    with pytest.raises(UserError) as caught:
        pack(zipped({f"{n}.py": b"" for n in range(4)}), tmp_path)
    assert caught.value.code == "archive.too_many"


# --- which file runs


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["train.py", "other.py"], None, "train.py"),
        (["main.py", "a.py", "src/train.py"], "", "main.py"),
        (["fit.py", "README.md"], None, "fit.py"),
        (["src/fit.py", "README.md"], None, "src/fit.py"),
        (["src/fit.py", "README.md", "src/b.py"], "src/b.py", "src/b.py"),
        (["src/fit.py", "README.md", "src/b.py"], "./src/b.py", "src/b.py"),
        (["repo-1/fit.py", "repo-1/b.py"], "repo-1/b.py", "b.py"),
        (["repo-1/train.py", "repo-1/data/x.csv"], None, "train.py"),
        (["pkg/__init__.py", "pkg/__main__.py"], "pkg/__main__.py", "pkg/__main__.py"),
    ],
)
def test_the_entry_point_is_found(names: list[str], wanted: str | None, found: str) -> None:
    assert choose_entry(names, common_folder(names), wanted) == found


@pytest.mark.parametrize(
    ("names", "wanted", "says"),
    [
        (["a.py", "b.py"], None, "the Python files are: a.py, b.py."),
        (["README.md"], None, "there is no Python file at all"),
        (["a.py"], "gone.py", "There is no file 'gone.py': the Python files are: a.py."),
        (["a.py"], "../a.py", "There is no file '../a.py'"),
        (["run.sh", "a.py"], "run.sh", "a Python file (.py)"),
        (["random.py", "b.py"], "random.py", "in place of the package 'random'"),
        (["a.py"], 7, "the path of a file"),
    ],
)
def test_a_missing_entry_point_says_what_there_is(names: list[str], wanted: Any, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        choose_entry(names, common_folder(names), wanted)
    assert says in caught.value.message
    assert caught.value.detail["field"] == "entry_point"


# --- runs of archives


@pytest.mark.django_db
def test_a_run_of_an_archive_remembers_all_its_files(people: People, allowed: None, send: Send) -> None:
    inside = {f"churn-main/{name}": data for name, data in FILES.items()}
    answer = send(
        zipped(inside), {"parameters": {"n": 1}, "variables": {"OMP_NUM_THREADS": "1"}}, name="churn.zip"
    )
    assert answer.status_code == 201, answer.json()
    run = answer.json()
    assert run["code"]["name"] == "train.py"
    assert run["code"]["source"]["file"] == "churn.zip"
    assert (run["code"]["source"]["files"], run["code"]["source"]["root"]) == (4, "churn-main/")
    assert run["variables"] == {"OMP_NUM_THREADS": "1"}
    viewer = people.api("viewer")
    listed = viewer.get(f"{RUNS}/{run['id']}/code/files").json()["results"]
    assert {one["path"] for one in listed} == set(FILES)
    whole = viewer.get(f"{RUNS}/{run['id']}/code")
    assert whole["Content-Type"] == "application/zip"
    assert len(zipfile.ZipFile(io.BytesIO(whole.content)).namelist()) == 4
    assert viewer.get(f"{RUNS}/{run['id']}/code?file=helper/names.py").content == FILES["helper/names.py"]
    assert error_of(viewer.get(f"{RUNS}/{run['id']}/code?file=../train.py"))["code"] == "run.no_code_file"
    page = people.client("viewer")
    tab = page.get(f"/p/shop/experiments/runs/{run['id']}/code?file=helper/names.py").content.decode()
    assert "4 files of churn.zip" in tab
    assert "entry point" in tab
    assert "NAME = " in tab
    assert page.get(f"/p/shop/experiments/runs/{run['id']}/code?file=gone.py").status_code == 404


@pytest.mark.django_db
def test_the_code_of_a_run_runs_again(people: People, allowed: None, send: Send) -> None:
    files = {**FILES, "evaluate.py": b"print('again')\n"}
    first = send(zipped(files), name="churn.zip").json()
    contributor = people.api("contributor")
    body = {"code_of": first["id"], "entry_point": "evaluate.py"}
    answer = contributor.post(RUNS, body, format="json")
    assert answer.status_code == 201, answer.json()
    assert answer.json()["code"]["sha256"] == first["code"]["sha256"]
    assert answer.json()["code"]["name"] == "evaluate.py"
    assert contributor.post(RUNS, {"code_of": "f" * 32}, format="json").status_code == 404
    both = {"code_of": first["id"], "git": {"url": "https://example.org/a/b"}}
    assert error_of(contributor.post(RUNS, both, format="json"))["code"] == "script.two_sources"
    form = f"/p/shop/experiments/new/script?from={first['id']}"
    page = people.client("contributor").get(form).content.decode()
    assert "5 files of churn.zip" in page
    fields = {"origin": "same", "entry_point": "train.py", "minutes": "1", "experiment": "Default"}
    assert people.client("contributor").post(form, fields).status_code == 302
    assert Run.objects.order_by("-created_at")[0].code_digest == first["code"]["sha256"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data", "spec", "status", "code", "field"),
    [
        (zipped({"../x.py": b"x"}), {}, 422, "archive.unsafe_path", "code"),
        (zipped({"train.py": b"x" * 30_000_000}), {}, 413, "archive.bomb", "code"),
        (zipped({"train.py": b"def f(:"}), {}, 422, "script.syntax", "entry_point"),
        (zipped(FILES), {"entry_point": "fit.py"}, 422, "script.no_entry_point", "entry_point"),
        (b"not an archive", {}, 422, "archive.kind", "code"),
        (SOURCE, {"variables": {"LD_PRELOAD": "/tmp/x.so"}}, 422, "job.environment", "variables.LD_PRELOAD"),
        (SOURCE, {"variables": {"PYTHONPATH": "/tmp"}}, 422, "job.environment", "variables.PYTHONPATH"),
        (SOURCE, {"variables": {"PATH": "/tmp"}}, 422, "job.environment", "variables.PATH"),
        (SOURCE, {"variables": {"SM_MODEL_DIR": "/"}}, 422, "variable.reserved", "variables.SM_MODEL_DIR"),
        (SOURCE, {"variables": {"A B": "1"}}, 422, "variable.bad_name", "variables"),
        (SOURCE, {"variables": {"A=B": "1"}}, 422, "variable.bad_name", "variables"),
        (SOURCE, {"variables": {"A": None}}, 422, "variable.invalid", "variables.A"),
        (SOURCE, {"variables": {"A": "x\x00"}}, 422, "variable.invalid", "variables.A"),
        (SOURCE, {"variables": ["A"]}, 422, "run.bad_field", "variables"),
        (SOURCE, {"variables": {f"V{n}": "1" for n in range(51)}}, 422, "variable.too_many", "variables"),
    ],
)
def test_bad_code_leaves_nothing(
    allowed: None, send: Send, store: Any, data: bytes, spec: Any, status: int, code: str, field: str
) -> None:
    answer = send(data, spec, name="code.py" if data == SOURCE else "code.zip")
    assert answer.status_code == status, answer.json()
    assert error_of(answer)["code"] == code
    assert error_of(answer)["detail"]["field"] == field
    assert not Run.objects.exists()
    assert list(store.list("")) == []


@pytest.mark.django_db
def test_a_run_goes_on_from_the_checkpoint_of_another(
    people: People, allowed: None, send: Send, store: Any, fake_tracking: Any
) -> None:
    from apps.jobs import attempts
    from apps.jobs.checkpoints.keeping import prefix_of
    from apps.jobs.checkpoints.models import JobCheckpoint
    from apps.jobs.handlers import handler_for

    first = send().json()
    refused = send(SOURCE, {"resume": first["id"]})
    assert (refused.status_code, error_of(refused)["code"]) == (422, "run.no_checkpoint")
    digest = "a" * 64
    files = [{"path": "weights/a.bin", "size": 3, "sha256": digest}]
    found = JobCheckpoint.objects.create(job_id=UUID(first["job"]), fence=1, files=files, bytes=3)
    store.put_bytes(b"abc", f"{prefix_of(found.job_id)}/{digest}")
    second = send(SOURCE, {"resume": first["id"], "variables": {"GREETING": "good day"}}).json()
    assert second["resume"] == first["id"]
    job = attempts.claim(job_id=second["job"], worker="w", tier=0, lease_seconds=60)
    assert job is not None
    plan = handler_for(job.kind).prepare(job)
    assert plan.checkpoint == "checkpoints"
    (place,) = plan.payload["checkpoint"]
    assert place["path"] == "weights/a.bin"
    assert Path(plan.inputs[place["input"]]).read_bytes() == b"abc"
    assert plan.payload["variables"] == {"GREETING": "good day"}
    page = people.client("viewer").get(f"/p/shop/experiments/runs/{second['id']}/").content.decode()
    assert "good day" in page
    assert f"/runs/{first['id']}/" in page
    again = (
        people.client("contributor")
        .get(f"/p/shop/experiments/new/script?from={first['id']}")
        .content.decode()
    )
    assert "Go on from its checkpoint" in again
    assert send(SOURCE, {"resume": "f" * 32}).status_code == 404


@pytest.mark.django_db
def test_the_requirements_of_an_archive_make_its_environment(
    people: People, allowed: None, send: Send
) -> None:
    from apps.environments.models import Environment

    files = {f"repo/{name}": data for name, data in {**FILES, "requirements.txt": b"six>=1.16\n"}.items()}
    spec = {"environment": {"file": "requirements.txt"}}
    assert send(zipped(files), spec, name="repo.zip").status_code == 201
    assert Environment.objects.get().requirements.strip() == "six>=1.16"
    refused = send(zipped(FILES), spec, name="repo.zip")
    assert error_of(refused)["code"] == "environment.no_file"
    assert error_of(send(SOURCE, spec))["code"] == "environment.no_file"
    bad = {**files, "repo/requirements.txt": b"-r /etc/passwd\n"}
    assert error_of(send(zipped(bad), spec, name="repo.zip"))["code"] == "environment.bad_line"
    assert Run.objects.count() == 1


@pytest.mark.django_db
def test_the_page_says_what_is_wrong_with_an_archive(people: People, allowed: None) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    upload = SimpleUploadedFile("code.zip", zipped({"a.py": b"print(1)", "b.py": b"print(1)"}))
    fields = {
        "origin": "here",
        "entry_point": "train.py",
        "minutes": "1",
        "experiment": "Default",
        "code": upload,
    }
    answer = people.client("contributor").post("/p/shop/experiments/new/script", fields)
    assert answer.status_code == 422
    assert "the Python files are: a.py, b.py." in answer.content.decode()
