"""Set-up of the tests of environments: an index of tiny wheels made here, folders of their own, no network."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.environments import places
from tests.support.datasets import run_inline
from tests.support.people import People

MakeWheel = Callable[..., Path]


def wheel(folder: Path, name: str, version: str, *, needs: tuple[str, ...] = (), code: str = "") -> Path:
    """A wheel of one module, built by hand."""
    meta = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    meta += [f"Requires-Dist: {one}\n" for one in needs]
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code or f"VERSION = {version!r}\n",
        f"{info}/METADATA": "".join(meta),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in files.items())
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(inner, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place that packages come from: a folder with three of them."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "tinyboost", "1.0")
    wheel(folder, "tinyboost", "2.0", needs=("tinymath>=2",))
    wheel(folder, "tinymath", "1.5")
    wheel(folder, "tinymath", "2.1")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders of environments, in a place of the test's own."""
    folder = tmp_path / "environments"
    folder.mkdir()
    monkeypatch.setattr(places, "root", lambda: folder)
    return folder


@pytest.fixture
def allowed(people: People) -> None:
    """Own scripts are allowed in the project."""
    people.project.own_code = True
    people.project.save(update_fields=["own_code"])


@pytest.fixture
def built(people: People, allowed: None, index: Path, home: Path) -> Callable[..., Any]:
    """An environment whose build has ended: built("boost", "tinyboost==1.0")."""

    def make(name: str, requirements: str, by: str = "contributor") -> Any:
        from apps.environments.actions import create_environment

        made = create_environment(
            actor=people.actor(by), project=people.project, name=name, requirements=requirements
        )
        run_inline(made.job)
        made.refresh_from_db()
        return made

    return make
