"""One commit of a git repository as files: fetched without history, packed as an uploaded archive would be.

Runs confined (sandbox/intake.py). The address has been checked before, and git connects to that address only: it
resolves nothing, follows no redirect, asks nobody, runs no hook and takes no submodule. Standard library only.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.executors.confine import die_with_parent
from apps.experiments.sandbox.unpacking import Packed, pack_tar
from foundation.tasks import UserError

SAID_AT_MOST = 300
#: The first version that can be told which address a name has.
VERSION = (2, 37)
_REDIRECT = re.compile(r"redirect|unable to update url base|returned error: 30[12378]", re.IGNORECASE)
_REFUSED = re.compile(
    r"Authentication failed|could not read (Username|Password)|\b40[13]\b|terminal prompts disabled"
)
_NO_COMMIT = re.compile(
    r"couldn't find remote ref|not our ref|no such remote ref|bad object|upload-pack: not our ref", re.I
)
_TOO_LARGE = re.compile(
    r"File size limit exceeded|File too large|No space left|file write error|signal 25", re.IGNORECASE
)
#: Of what a server may send nothing decides what is left out or changed.
_ATTRIBUTES = "* -export-ignore -export-subst -ident -filter\n"


def refuse(code: str, sentence: str, field: str = "git", **detail: Any) -> UserError:
    """The error for a repository that is not taken."""
    return UserError(sentence, code=f"git.{code}", detail={"field": field, **detail})


def fetch(request: Mapping[str, Any], folder: Path, target: Path) -> tuple[str, Packed]:
    """The resolved commit (40 hex digits) and what was packed. request: url, ref, path (a folder in it), pins
    ["host:port:address,…"], local (whether it is a folder of this machine), shown (the address for people).

    Raises UserError "git.…" or "archive.…".
    """
    git = Git(request, folder)
    check_version(git.run("--version"))
    git.run("init", "--quiet", "--bare", str(folder / "repository"))
    (folder / "repository" / "info").mkdir(exist_ok=True)
    (folder / "repository" / "info" / "attributes").write_text(_ATTRIBUTES)
    git.get(str(request["url"]), str(request["ref"]))
    commit = git.run("rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}").strip()
    tree = f"{commit}:{request['path']}" if request.get("path") else commit
    if request.get("path") and git.ask("cat-file", "-t", tree)[1].strip() != "tree":
        raise refuse(
            "no_folder", f"The repository has no folder '{request['path']}' at {commit[:12]}.", "git.folder"
        )
    with git.start("archive", "--format=tar", tree) as process:
        assert process.stdout is not None
        packed = pack_tar(process.stdout, target, links=True)
        process.stdout.close()
    return commit, packed


def _configuration(request: Mapping[str, Any]) -> str:
    allowed = {"https": True, "http": bool(request.get("plain")), "file": bool(request.get("local"))}
    sections = {
        "core": {"hooksPath": os.devnull, "attributesFile": os.devnull, "fsmonitor": "false"},
        "protocol": {"allow": "never"},
        **{f'protocol "{name}"': {"allow": "always" if on else "never"} for name, on in allowed.items()},
        "http": {"followRedirects": "false", "lowSpeedLimit": "1000", "lowSpeedTime": "15"},
        "credential": {"helper": ""},
        "fetch": {"recurseSubmodules": "false", "fsckObjects": "true"},
        "transfer": {"bundleURI": "false"},
        "gc": {"auto": "0"},
        "maintenance": {"auto": "false"},
        "pack": {"threads": "1"},
        "safe": {"directory": "*"},
    }
    lines: list[str] = []
    for section, values in sections.items():
        lines += [f"[{section}]", *(f'\t{name} = "{value}"' for name, value in values.items())]
    lines += [f'[http]\n\tcurloptResolve = "{pin}"' for pin in request.get("pins", ())]
    return "\n".join(lines) + "\n"


def check_version(said: str) -> None:
    """An older git would ignore which addresses it was given. Raises UserError "git.not_installed"."""
    numbers = re.search(r"(\d+)\.(\d+)", said)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < VERSION:
        raise refuse(
            "not_installed",
            f"Repositories need git {VERSION[0]}.{VERSION[1]} or newer on the studio's machine; it has {said.strip()[:60]}. "
            "Upload an archive.",
        )


class Git:
    """The program, told everything by arguments and variables: no configuration of the machine counts."""

    def __init__(self, request: Mapping[str, Any], folder: Path) -> None:
        self.request = request
        self.folder = folder
        file = folder / "gitconfig"
        file.write_text(_configuration(request))
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LC_ALL": "C",
            "GIT_DIR": str(folder / "repository"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(file),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "GIT_ATTR_NOSYSTEM": "1",
            **{name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ},
        }
        if "SSL_CERT_FILE" in self.env:
            self.env["GIT_SSL_CAINFO"] = self.env["SSL_CERT_FILE"]
        if header := os.environ.get("FETCH_HEADER"):
            self.env |= {
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": header,
            }  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it; it dies with this process."""
        me = os.getpid()
        return subprocess.Popen(
            ["git", *arguments],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if arguments[0] != "archive" else subprocess.DEVNULL,
            preexec_fn=lambda: die_with_parent(me),
        )

    def ask(self, *arguments: str) -> tuple[int, str, str]:
        """(exit code, output, what it said) of one call."""
        with self.start(*arguments) as process:
            output, said = process.communicate()
        return process.returncode, output.decode("utf-8", "replace"), said.decode("utf-8", "replace")

    def run(self, *arguments: str) -> str:
        """The output of a call that must succeed."""
        code, output, said = self.ask(*arguments)
        if code:
            raise self.explained(code, said)
        return output

    def get(self, url: str, ref: str) -> None:
        """Fetch one commit. A server that sends to the same address with .git behind it is asked there."""
        code, said = self._fetch(url, ref)
        if code and _REDIRECT.search(said) and not url.endswith(".git"):
            again, told = self._fetch(f"{url.rstrip('/')}.git", ref)
            code, said = (code, said) if again else (again, told)
        if code and re.fullmatch(r"[0-9a-f]{7,39}", ref):
            found = [one for one in self._heads(url) if one.startswith(ref)]
            if len(set(found)) == 1:
                code, said = self._fetch(url, found[0])
        if code:
            raise self.explained(code, said)

    def _fetch(self, url: str, ref: str) -> tuple[int, str]:
        arguments = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--update-shallow")
        code, _, said = self.ask(*arguments, "--depth=1", "--", url, ref)
        if code and "dumb http transport does not support shallow" in said:
            code, _, said = self.ask(*arguments, "--", url, ref)
        return code, said

    def _heads(self, url: str) -> list[str]:
        code, output, _ = self.ask("ls-remote", "--quiet", "--", url)
        return [line.split("\t")[0] for line in output.splitlines()[:100_000]] if not code else []

    def explained(self, code: int, said: str) -> UserError:
        """What git said as a sentence of ours."""
        shown, ref = self.request["shown"], self.request["ref"]
        if code in (-signal.SIGXFSZ, -signal.SIGKILL) or _TOO_LARGE.search(said):
            return refuse(
                "too_large", f"The repository {shown} is too large to be fetched, even without its history."
            )
        if _NO_COMMIT.search(said) and ref == "HEAD":
            return refuse("unreachable", f"{shown} is no git repository, or has no commit yet.", "git.url")
        if _NO_COMMIT.search(said):
            more = (
                ""
                if re.fullmatch(r"[0-9a-f]{40}", ref)
                else " A commit is given by its 40 digits, a branch or a tag."
            )
            return refuse("no_commit", f"The repository {shown} has no '{ref}'.{more}", "git.commit")
        if _REDIRECT.search(said):
            return refuse(
                "redirected",
                f"{shown} leads to another address. Give that one: redirects are not followed.",
                "git.url",
            )
        if _REFUSED.search(said):
            return refuse(
                "refused",
                f"{shown} does not exist, or needs a token that may read it.",
                "git.url",
            )
        told = _plain(said)
        return refuse(
            "unreachable",
            f"{shown} cannot be read as a git repository{': ' + told if told else ''}.",
            "git.url",
        )


def _plain(said: str) -> str:
    """The last line of git's own words, without its prefix."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    if not fatal:
        return ""
    return re.sub(r"^(fatal|error): ", "", fatal[-1]).rstrip(".")[:SAID_AT_MOST]
