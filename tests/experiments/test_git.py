"""Code from git repositories: which addresses are fetched from, and what becomes of a commit."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from apps.experiments.models import Run
from apps.experiments.sandbox.cloning import check_version
from apps.experiments.scripts.addresses import SETTING, check_address, is_public
from apps.experiments.scripts.intake import read_git
from foundation.errors import AtelierError, Invalid
from foundation.tasks import UserError
from tests.experiments.test_archives import FILES
from tests.experiments.test_scripts import RUNS, allowed, error_of
from tests.support.people import People

__all__ = ["allowed"]
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let every name have these addresses: resolves("93.184.216.34")."""

    def to(*addresses: str) -> None:
        def answer(host: str, port: int, **more: Any) -> list[Any]:
            if not addresses:
                raise OSError("no such name")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", answer)

    return to


# --- addresses


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("::ffff:169.254.169.254", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:a00:1::", False),
        ("2001:0:1234::1", False),
        ("ff02::1", False),
        ("nonsense", False),
    ],
)
def test_what_belongs_to_the_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_public_address_is_pinned(resolves: Callable[..., None]) -> None:
    resolves("93.184.216.34", "2606:2800:220:1::1")
    found = check_address("https://example.org/team/churn", {})
    assert found.pins == ("example.org:443:93.184.216.34,[2606:2800:220:1::1]",)
    assert (found.plain, found.local, found.shown) == (False, False, "https://example.org/team/churn")


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        ("", "url", "https address"),
        (7, "url", "https address"),
        ("https://exa mple.org/x", "url", "characters"),
        ("https://example.org/x\n--upload-pack=x", "url", "characters"),
        ("--upload-pack=touch /tmp/x", "url", "characters"),
        ("--upload-pack=x", "url", "https"),
        ("ext::sh -c ls", "url", "characters"),
        ("ext::sh", "url", "https"),
        ("git@example.org:team/churn.git", "url", "ssh"),
        ("ssh://git@example.org/team/churn", "url", "ssh"),
        ("git://example.org/churn", "url", "https"),
        ("ftp://example.org/churn", "url", "https"),
        ("http://example.org/churn", "url", "begins with http"),
        ("https://user:secret@example.org/churn", "credentials", "token"),
        ("https://token@example.org/churn", "credentials", "token"),
        ("https://example.org/churn?ref=x", "url", "without ?"),
        ("https://example.org:99999/churn", "url", "no address"),
        ("https:///churn", "url", "https"),
        ("/etc", "inside", SETTING),
        ("file:///etc", "inside", SETTING),
        ("https://" + "a" * 600, "url", "too many"),
    ],
)
def test_what_is_no_address_is_refused(resolves: Callable[..., None], url: Any, code: str, says: str) -> None:
    resolves("93.184.216.34")
    with pytest.raises(Invalid) as caught:
        check_address(url, {})
    assert caught.value.code == f"git.{code}"
    assert says in caught.value.message
    assert "secret" not in str(caught.value.as_dict())


@pytest.mark.parametrize("addresses", [["10.0.0.7"], ["93.184.216.34", "127.0.0.1"], ["169.254.169.254"]])
def test_an_address_that_points_inside_is_refused_unless_the_operator_named_it(
    resolves: Callable[..., None], addresses: list[str]
) -> None:
    resolves(*addresses)
    with pytest.raises(Invalid) as caught:
        check_address("https://git.corp.test/churn", {})
    assert caught.value.code == "git.inside"
    assert SETTING in caught.value.message
    assert check_address("https://git.corp.test/churn", {SETTING: "git.corp.test"}).pins
    assert check_address("http://git.corp.test:8080/churn", {SETTING: "git.corp.test:8080"}).plain
    with pytest.raises(Invalid):
        check_address("http://git.corp.test:8081/churn", {SETTING: "git.corp.test:8080"})


def test_a_name_that_nobody_knows_cannot_be_reached(resolves: Callable[..., None]) -> None:
    resolves()
    with pytest.raises(Invalid) as caught:
        check_address("https://gone.test/churn", {})
    assert (caught.value.code, caught.value.detail["field"]) == ("git.unreachable", "git.url")


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ("https://example.org/x", "git.url", "git"),
        ({}, "git.url", "git"),
        ({"url": "https://example.org/x", "branch": "main"}, "run.unknown_field", "git.branch"),
        ({"url": "https://example.org/x", "commit": "--output=/x"}, "git.no_commit", "git.commit"),
        ({"url": "https://example.org/x", "commit": "main..dev"}, "git.no_commit", "git.commit"),
        ({"url": "https://example.org/x", "commit": "a b; rm"}, "git.no_commit", "git.commit"),
        ({"url": "https://example.org/x", "commit": 7}, "git.no_commit", "git.commit"),
        ({"url": "https://example.org/x", "folder": "../x"}, "git.no_folder", "git.folder"),
        ({"url": "https://example.org/x", "token": "a\nb"}, "git.credentials", "git.token"),
    ],
)
def test_a_bad_repository_names_its_field(
    resolves: Callable[..., None], given: Any, code: str, field: str
) -> None:
    resolves("93.184.216.34")
    with pytest.raises(AtelierError) as caught:
        read_git(given, None)
    assert (caught.value.code, caught.value.detail["field"]) == (code, field)


@pytest.mark.parametrize(
    ("said", "fits"),
    [("git version 2.39.5", True), ("git version 3.0", True), ("git version 2.34.1", False), ("?", False)],
)
def test_a_git_that_would_resolve_names_itself_is_not_used(said: str, fits: bool) -> None:
    if fits:
        check_version(said)
        return
    with pytest.raises(UserError) as caught:
        check_version(said)
    assert caught.value.code == "git.not_installed"


# --- fetching


def git(folder: Path, *arguments: str) -> str:
    who = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b.c",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b.c",
    }
    env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two commits with a tag, a branch, a link and a folder that its attributes would leave out."""
    folder = tmp_path_factory.mktemp("git") / "churn"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for name, data in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "v1")
    (folder / "train.py").write_bytes(b"print('second')\n")
    (folder / "passwords").symlink_to("/etc/passwd")
    (folder / "examples").mkdir()
    (folder / "examples" / "fit.py").write_bytes(b"print('fit')\n")
    (folder / ".gitattributes").write_text("examples export-ignore\n*.py filter=evil\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "two")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return folder


@needs_git
@pytest.mark.django_db
def test_a_commit_of_a_repository_runs(
    people: People, allowed: None, repository: Path, monkeypatch: pytest.MonkeyPatch, store: Any
) -> None:
    api = people.api("contributor")
    body: dict[str, Any] = {"git": {"url": f"file://{repository}", "commit": "v1"}, "parameters": {"n": 1}}
    assert error_of(api.post(RUNS, body, format="json"))["code"] == "git.inside"
    monkeypatch.setenv(SETTING, str(repository.parent))
    answer = api.post(RUNS, body, format="json")
    assert answer.status_code == 201, answer.json()
    source = answer.json()["code"]["source"]
    assert source["commit"] == git(repository, "rev-parse", "v1")
    assert (source["ref"], source["files"], answer.json()["code"]["name"]) == ("v1", 4, "train.py")
    run = Run.objects.get()
    page = people.client("viewer").get(f"/p/shop/experiments/runs/{run.hex}/code").content.decode()
    assert f"at {source['commit'][:12]} (v1)" in page

    short = git(repository, "rev-parse", "main")[:8]
    newest = api.post(RUNS, {"git": {"url": str(repository), "commit": short}}, format="json").json()
    assert newest["code"]["source"]["commit"] == git(repository, "rev-parse", "main")
    assert newest["code"]["source"]["left_out"] == ["'passwords' is a link and is left out."]
    assert api.get(f"{RUNS}/{newest['id']}/code?file=train.py").content == b"print('second')\n"
    assert api.get(f"{RUNS}/{newest['id']}/code?file=examples/fit.py").status_code == 200

    part = {"git": {"url": str(repository), "folder": "examples"}}
    assert api.post(RUNS, part, format="json").json()["code"]["name"] == "fit.py"

    for change, code in (
        ({"commit": "v9"}, "git.no_commit"),
        ({"commit": "f" * 40}, "git.no_commit"),
        ({"folder": "gone"}, "git.no_folder"),
        ({"folder": "train.py"}, "git.no_folder"),
        ({"url": str(repository / "helper")}, "git.unreachable"),
    ):
        refused = api.post(RUNS, {"git": {"url": str(repository), **change}}, format="json")
        assert (refused.status_code, error_of(refused)["code"]) == (422, code), refused.json()
    assert Run.objects.count() == 3


class Server(BaseHTTPRequestHandler):
    """A host that leads elsewhere, wants a password, hands out something else, or keeps silent."""

    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        kind = self.path.split("/")[1]
        self.send_response({"moved": 302, "private": 401, "page": 200}.get(kind, 404))
        if kind == "moved":
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
        if kind == "private":
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()
        if kind == "page":
            self.wfile.write(b"<html>hello</html>")

    def log_message(self, *arguments: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(address, requests) of such a host, which the operator has allowed."""
    asked: list[tuple[str, str]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Asked", (Server,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    monkeypatch.setenv(SETTING, address)
    yield f"http://{address}", asked
    server.shutdown()
    server.server_close()


@needs_git
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("moved", "git.redirected"),
        ("private", "git.refused"),
        ("page", "git.unreachable"),
        ("gone", "git.unreachable"),
    ],
)
def test_a_host_that_gives_no_repository_is_told_apart(
    host: tuple[str, list[tuple[str, str]]], path: str, code: str
) -> None:
    address, asked = host
    with pytest.raises(Invalid) as caught:
        read_git({"url": f"{address}/{path}"}, None)
    assert caught.value.code == code, caught.value.message
    assert asked
    with pytest.raises(Invalid) as caught:
        read_git({"url": f"{address}/{path}", "token": "geheim"}, None)
    assert caught.value.code == "git.credentials"
    assert "geheim" not in str(caught.value.as_dict())


class Backend(BaseHTTPRequestHandler):
    """Git's own server of repositories over http; `token` is what it wants to hear."""

    folder: Path

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        variables = {
            "GIT_PROJECT_ROOT": str(self.folder), "GIT_HTTP_EXPORT_ALL": "1", "REQUEST_METHOD": self.command,
            "PATH_INFO": path, "QUERY_STRING": query, "CONTENT_TYPE": self.headers.get("Content-Type") or "",
            "CONTENT_LENGTH": str(len(body)), "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "", "PATH": os.environ["PATH"],
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        done = subprocess.run(
            ["git", "http-backend"], env=variables, input=body, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *arguments: Any) -> None:
        """Nothing is printed."""


@needs_git
def test_a_commit_comes_over_http_from_the_address_that_was_checked(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is one that nobody else can resolve: git was told where it lies."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Backend,), {"folder": repository.parent}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest, **more))
    address = f"git.studio.test:{server.server_port}"
    monkeypatch.setenv(SETTING, address)
    try:
        code = read_git({"url": f"http://{address}/churn/.git", "commit": "v1"}, None)
    finally:
        server.shutdown()
        server.server_close()
    assert (code.name, code.source["files"], code.source["commit"]) == (
        "train.py",
        4,
        git(repository, "rev-parse", "v1"),
    )


@needs_git
def test_a_host_where_nobody_listens_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv(SETTING, address)
        with pytest.raises(Invalid) as caught:
            read_git({"url": f"http://{address}/churn"}, None)
    assert caught.value.code == "git.unreachable"
    assert address in caught.value.message
