"""manage.py on a fresh clone: nothing but Python, and as somebody who is not root."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runtime import bootstrap, postgres, service_account, valkey
from runtime.errors import RuntimeFault
from runtime.home import Home
from runtime.service_account import ServiceAccount, reachable_by_others
from tests.support.studio import Studio

NOBODY = 65534
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "var", "__pycache__", ".*_cache", "*.pyc")


def test_the_test_lock_holds_everything_of_the_running_one_at_the_same_versions() -> None:
    assert set(bootstrap.pins(bootstrap.RUN)) <= set(bootstrap.pins(bootstrap.TEST))


def test_every_requirement_is_locked_with_hashes() -> None:
    for name in (bootstrap.RUN, bootstrap.TEST, bootstrap.INSTALLER):
        text = (bootstrap.ROOT / name).read_text()
        requirements = re.findall(r"^[A-Za-z0-9].*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
        assert requirements
        assert all("==" in one and "--hash=sha256:" in one for one in requirements), name


@pytest.mark.parametrize(
    ("system", "machine", "libc", "sentence"),
    [
        ("linux", "riscv64", "glibc", "x86-64 and arm64"),
        ("linux", "x86_64", "", "not musl"),
        ("darwin", "x86_64", "", "Apple silicon"),
        ("freebsd14", "amd64", "", "Linux and macOS"),
    ],
)
def test_an_unsupported_machine_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, libc: str, sentence: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: machine)
    monkeypatch.setattr(bootstrap.platform, "libc_ver", lambda: (libc, ""))
    with pytest.raises(RuntimeFault, match=sentence):
        bootstrap.check_machine()


@pytest.mark.parametrize(
    ("pretend", "sentence"),
    [
        ("sys.version_info = (3, 9, 1)", "Atelier needs Python 3.11 to 3.14, but this is Python 3.9"),
        ("sys.platform = 'win32'", "Atelier does not run on Windows itself: run it inside WSL2."),
    ],
)
def test_an_old_python_and_windows_end_with_a_sentence(pretend: str, sentence: str) -> None:
    program = (
        f"import runpy, sys; {pretend}; "
        f"sys.argv = ['manage.py', 'up']; runpy.run_path({str(bootstrap.ROOT / 'manage.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)


def test_without_arguments_it_lists_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, str(bootstrap.ROOT / "manage.py")], capture_output=True, text=True, check=True
    )
    for name in ("up", "doctor", "test", "bench", "worker", "tour", "token"):
        assert re.search(rf"^  {name}\b", done.stdout, re.MULTILINE)


def test_the_installer_uses_the_index_that_pip_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    assert bootstrap._installer_environment()["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://own.example/simple")
    assert bootstrap._installer_environment()["UV_DEFAULT_INDEX"] == "https://own.example/simple"


def base_python() -> str:
    """A Python that other accounts can run: of this environment's base, or the system's."""
    candidates = [getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and (os.geteuid() != 0 or reachable_by_others(Path(candidate))):
            check = "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))"
            if subprocess.run([candidate, "-c", check], capture_output=True, check=False).returncode == 0:
                return candidate
    pytest.skip("no Python from 3.11 to 3.14 with venv that another account could run")


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """A copy of the repository without an environment, open to others."""
    folder = Path(tempfile.mkdtemp(prefix="atelier-clone-"))
    folder.chmod(0o755)
    try:
        yield Path(shutil.copytree(bootstrap.ROOT, folder / "clone", ignore=LEFT_OUT))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def manage(clone: Path, *arguments: str, python: str = "") -> subprocess.CompletedProcess[str]:
    """manage.py of the clone, from another folder, with nothing of this environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ATELIER_", "DJANGO_", "PYTHON", "VIRTUAL_ENV"))
    }
    return subprocess.run(
        [python or base_python(), str(clone / "manage.py"), *arguments],
        cwd=clone.parent,
        env={**kept, "ATELIER_HOME": str(clone.parent / "home")},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.fixture(scope="module")
def installed(clone: Path) -> Path:
    """The clone after its first command, which made the environment."""
    done = manage(clone, "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Making the environment" in done.stderr
    assert "The environment is complete" in done.stderr
    assert "no issues" in done.stdout
    return clone


@pytest.mark.engine
@pytest.mark.timeout(1200)
def test_a_fresh_clone_makes_its_environment_once(installed: Path) -> None:
    again = manage(installed, "check")
    assert again.returncode == 0
    assert "environment" not in again.stderr
    report = manage(installed, "doctor")
    assert "packages have the locked versions" in report.stdout, report.stdout + report.stderr


@pytest.mark.engine
@pytest.mark.timeout(1200)
def test_a_changed_lock_is_installed_again(installed: Path) -> None:
    lock = installed / bootstrap.RUN
    text = lock.read_text()
    try:
        lock.write_text(text + "\n# changed\n")
        done = manage(installed, "check")
        assert done.returncode == 0, done.stderr
        assert "The environment is complete" in done.stderr
        assert "Making the environment" not in done.stderr
    finally:
        lock.write_text(text)
        stamp = installed / ".venv" / "atelier-lock.json"
        digest = bootstrap.digest(bootstrap.RUN)  # the same text as in the repository
        stamp.write_text(json.dumps({bootstrap.RUN: digest}))


@pytest.mark.engine
@pytest.mark.timeout(1200)
def test_two_commands_at_once_make_one_environment(installed: Path) -> None:
    stamp = installed / ".venv" / "atelier-lock.json"
    complete = stamp.read_text()
    stamp.unlink()
    with (installed / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = subprocess.Popen(
            [base_python(), str(installed / "manage.py"), "check"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None
        assert "Another command is making the environment" in waiting.stderr.readline()
        stamp.write_text(complete)  # as the other one does at its end
    _, errors = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, errors
    assert "Installing" not in errors


@pytest.mark.engine
@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.geteuid() != 0, reason="the whole suite already runs as an ordinary user")
def test_an_ordinary_user_runs_the_studio(installed: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    for folder, _, _ in os.walk(installed.parent):  # not the files: they may be links into uv's cache
        os.chown(folder, NOBODY, NOBODY)
    studio = Studio(
        installed.parent / "ordinary",
        root=installed,
        python=str(installed / ".venv" / "bin" / "python"),
        prefix=("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        environment={"HOME": str(installed.parent)},
    )
    try:
        studio.start()
        assert not (studio.home / "data-location").exists()
        assert (studio.home / "postgres" / "PG_VERSION").read_text().strip() == str(postgres.MAJOR)
        assert studio.process is not None
        for child in psutil.Process(studio.process.pid).children(recursive=True):
            assert child.uids().effective == NOBODY
        assert studio.call("GET", "/api/v1/me", token=studio.token())[0] == 200
        assert studio.stop() == 0
    finally:
        studio.discard()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs copies for its service account")
def test_programs_below_a_closed_folder_are_copied_for_the_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Path(tempfile.mkdtemp(prefix="atelier-programs-"))
    base.chmod(0o711)
    monkeypatch.setattr(service_account, "BASE", base)
    monkeypatch.setattr(postgres, "reachable_by_others", lambda path: False)
    monkeypatch.setattr(valkey, "reachable_by_others", lambda path: False)
    account = ServiceAccount(uid=service_account.FIRST_UID, gid=service_account.FIRST_UID, folder=base)
    try:
        for program in (postgres.programs(account) / "postgres", valkey.program(account)):
            assert program.is_relative_to(base)
            done = subprocess.run(
                [program, "--version"],
                user=account.uid,
                group=account.gid,
                extra_groups=[],
                cwd="/",
                env={},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        assert postgres.programs(account) == postgres.programs(account)
    finally:
        shutil.rmtree(base)


def test_a_cluster_of_another_major_version_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(RuntimeFault, match="belong to PostgreSQL 17, but this release runs 18"):
        postgres.Postgres(Home(tmp_path), None).initialise("secret")
