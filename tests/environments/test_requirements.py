"""What is taken as requirements, where packages come from, and the resolver's words. Nothing is installed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.environments.index import index_settings, local_folders
from apps.environments.requirements import (
    LENGTH_AT_MOST,
    lock_digest,
    parse_requirements,
    request_digest,
)
from apps.environments.sandbox.build import hold_hashes, without_passwords
from apps.environments.sandbox.explaining import explain
from foundation.errors import Invalid
from foundation.tasks import UserError

DIGEST = "a" * 64


def test_comments_continuations_and_order_do_not_make_another_request() -> None:
    one = parse_requirements("pandas>=2,<3  # frames\r\n\nxgboost [gpu] >= 2 ; python_version > '3'\n")
    other = parse_requirements("# first\nxgboost[gpu]>=2; python_version > '3'\npandas \\\n >=2,<3\n")
    assert one.lines[0] in ("pandas<3,>=2", "pandas>=2,<3")
    assert request_digest(one) == request_digest(other)
    assert request_digest(one) != request_digest(parse_requirements("pandas>=2"))


def test_hashes_are_part_of_it() -> None:
    found = parse_requirements(f"Six==1.17 \\\n    --hash=sha256:{DIGEST} \\\n    --hash=sha256:{'b' * 64}\n")
    assert found.lines == ("Six==1.17",)
    assert found.hashes == {"six": (DIGEST, "b" * 64)}
    assert request_digest(found) != request_digest(parse_requirements("Six==1.17"))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("six\n--index-url https://evil.example/simple", 2, "'--index-url' is an option"),
        ("-r other.txt", 1, "'-r' is an option"),
        ("-e .", 1, "'-e' is an option"),
        ("six\n\n./wheels/six.whl", 3, "not fetched from an address or a path"),
        ("file:///etc/passwd", 1, "not fetched from an address or a path"),
        ("six @ https://10.0.0.1/six.whl", 1, "six comes from an address"),
        ("git+https://example.org/x.git", 1, "not fetched from an address or a path"),
        ("$(touch /tmp/x)", 1, "names no package"),
        ("six; rm -rf /", 1, "names no package"),
        ("pandas >> 2", 1, "names no package"),
        ("six==1.0 --global-option=x", 1, "names no package"),
    ],
)
def test_it_refuses_what_is_no_package(text: str, line: int, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_requirements(text)
    assert caught.value.code == "environment.bad_line"
    assert caught.value.detail["line"] == line
    assert said in caught.value.message


@pytest.mark.parametrize("text", ["", "# nothing\n\n", None, 3, ["six"]])
def test_it_refuses_nothing_at_all(text: object) -> None:
    with pytest.raises(Invalid) as caught:
        parse_requirements(text)
    assert caught.value.code == "environment.empty"


def test_it_refuses_a_book() -> None:
    for text in ("x" * (LENGTH_AT_MOST + 1), "\n".join(f"package{n}" for n in range(501))):
        with pytest.raises(Invalid) as caught:
            parse_requirements(text)
        assert caught.value.code == "environment.too_long"


def test_a_lock_is_known_by_its_packages() -> None:
    assert lock_digest("a==1\nb==2\n") == lock_digest("b==2\n\na==1\n")
    assert lock_digest("a==1\n") != lock_digest("a==2\n")


def test_given_hashes_are_the_only_ones_that_count() -> None:
    lock = f"six==1.17.0 \\\n    --hash=sha256:{DIGEST} \\\n    --hash=sha256:{'b' * 64}\nzen==1 \\\n    --hash=sha256:{'c' * 64}\n"
    held = hold_hashes(lock, {"six": ["b" * 64]})
    assert DIGEST not in held
    assert f"six==1.17.0 \\\n    --hash=sha256:{'b' * 64}\nzen==1" in held
    with pytest.raises(UserError, match=r"None of the files of six==1.17.0") as caught:
        hold_hashes(lock, {"six": ["d" * 64]})
    assert caught.value.code == "environment.hash"


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (
            "error: No solution found when resolving dependencies\n  cause: Because nosuch was not found in the "
            "package registry and you require nosuch, we can conclude that your requirements are unsatisfiable.",
            "environment.unresolvable",
            "Lead: nosuch was not found in the package registry, and you require nosuch.",
        ),
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because you require six==1.16 and six==1.17, "
            "we can conclude that your requirements are unsatisfiable.",
            "environment.unresolvable",
            "Lead: you require six==1.16 and six==1.17.",
        ),
        (
            "error: No solution found when resolving dependencies\n  cause: Because pandas==1.0.0 has no usable "
            "wheels and you require pandas==1.0, we can conclude that your requirements are unsatisfiable.\n\n"
            "hint: Wheels are required for `pandas`",
            "environment.no_wheel",
            "have to be compiled first",
        ),
        (
            "error: Failed to fetch: `https://index.example/simple/six/`\n  Caused by: dns error: failed to lookup",
            "environment.index_down",
            "cannot be reached: Failed to fetch",
        ),
        ("", "environment.not_installed", "Lead: uv gave no reason."),
    ],
)
def test_the_resolvers_reason_is_shortened(said: str, code: str, words: str) -> None:
    error = explain(said, "Lead")
    assert error.code == code
    assert words in error.message
    assert "hint" not in error.message
    assert "we can conclude" not in error.message


def test_the_index_is_the_operators(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://user:pw@index.example/simple\nfind-links = /a /b\nno-index = false\n"
    )
    found = index_settings(
        {
            "PIP_EXTRA_INDEX_URL": "https://more.example/simple",
            "LD_PRELOAD": "x",
            "HTTPS_PROXY": "http://p:1",
        },
        files=[config],
    )
    assert found == {
        "UV_DEFAULT_INDEX": "https://user:pw@index.example/simple",
        "UV_EXTRA_INDEX_URL": "https://more.example/simple",
        "UV_FIND_LINKS": "/a,/b",
        "HTTPS_PROXY": "http://p:1",
    }
    own = {"UV_DEFAULT_INDEX": "https://uv.example/simple", "PIP_INDEX_URL": "https://pip.example/simple"}
    assert index_settings(own, files=[]) == {"UV_DEFAULT_INDEX": "https://uv.example/simple"}
    assert index_settings({}, files=[tmp_path / "absent"]) == {}


def test_only_existing_local_places_are_opened_to_the_child(tmp_path: Path) -> None:
    index, links = tmp_path / "index" / "simple", tmp_path / "links"
    index.mkdir(parents=True)  # its pages lead to ../files
    links.mkdir()
    extra = f"file://{index}/ https://a.example file:///simple"
    settings = {"UV_FIND_LINKS": f"{links},/nowhere", "UV_EXTRA_INDEX_URL": extra}
    assert local_folders(settings) == [str(index.parent), str(index), str(links)]


def test_passwords_leave_no_trace() -> None:
    assert (
        without_passwords("Fetch https://me:secret@index.example/x") == "Fetch https://****@index.example/x"
    )
