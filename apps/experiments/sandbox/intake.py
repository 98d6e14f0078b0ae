"""The confined process that reads code as it arrives: an uploaded archive, or a commit of a git repository.

Started by apps.experiments.scripts.intake for one request: argv[1] is the request as JSON ({"kind": "archive"} with
the archive as its standard input, or {"kind": "git", …} for cloning.fetch), argv[2] an empty folder of its own. It
leaves code.zip there and says how it went on its standard output. Standard library only.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from adapters.executors import landlock
from adapters.executors.confine import drop_capabilities, hide_process
from apps.experiments.sandbox import cloning, unpacking
from foundation.tasks import UserError

TARGET = "code.zip"
SECONDS = {"archive": 30, "git": 60}
MEMORY_BYTES = 2 * 1000**3
WRITTEN_BYTES = 300 * 1000**2
SYSTEM = (
    "/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc", "/dev/null", "/dev/urandom", "/nix/store",
    "/run/systemd/resolve", "/run/resolvconf",
)  # fmt: skip


def main() -> None:
    """Read the request, do it, say what came of it. Always one line of JSON and the exit code 0."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    folder = Path(sys.argv[2])
    confine(request, folder)
    try:
        answer = {"ok": True, **take(request, folder)}
    except UserError as error:
        answer = {"ok": False, "code": error.code, "message": error.message, "detail": error.detail}
    print(json.dumps(answer))


def take(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """{"files", "bytes", "left_out", "commit"?}. Raises UserError."""
    target = folder / TARGET
    if request["kind"] == "git":
        commit, packed = cloning.fetch(request, folder, target)
        more = {"commit": commit}
    else:
        packed = unpacking.pack_archive(sys.stdin.buffer, target)
        more = {}
    return {"files": packed.files, "bytes": packed.bytes, "left_out": packed.left_out[:20], **more}


def confine(request: dict[str, Any], folder: Path) -> None:
    """Limits, no powers of root, and no other file than the system's and its own folder."""
    signal.alarm(SECONDS[request["kind"]] + 5)
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, SECONDS[request["kind"]]),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, WRITTEN_BYTES),
    ):
        _, hard = resource.getrlimit(kind)
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a full file is then an error with a sentence
    os.umask(0o077)
    hide_process()
    drop_capabilities()
    prefixes = {sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable)), *sys.path}
    certificates = {os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    readable = {path for path in (*SYSTEM, *prefixes, *certificates) if os.path.isabs(path) and path != "/"}
    if request.get("local"):
        readable.add(str(request["url"]))
    landlock.restrict(read=readable, write={str(folder), "/dev/null"})
