"""Code as it arrives, made into what is kept: one file, or a package of files from an archive or a git repository.

Archives and repositories are read by a confined process of their own (sandbox.intake), never by this one; what is
wrong with them is said while the person still looks at the form, and nothing is left behind.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from apps.experiments.sandbox.intake import SECONDS, TARGET
from apps.experiments.sandbox.unpacking import kind_of
from apps.experiments.scripts.addresses import Address, check_address, refuse
from apps.experiments.scripts.checking import CODE_BYTES, Code, check_code, check_name, name_from
from apps.experiments.scripts.received import Received
from foundation.errors import AtelierError, Invalid, TooLarge, TooMany
from foundation.names import check_text

ROOT = Path(__file__).resolve().parents[3]
_BOOT = "import sys; sys.path[:0] = [{root!r}, {platform!r}]; from apps.experiments.sandbox.intake import main; main()"
#: So many at once: each may take a processor and a network line for a while.
AT_ONCE = 2
WAIT_SECONDS = 20
#: Of all files together, as they are kept.
PACKED_BYTES = 100 * 1000**2
GIT_FIELDS = ("url", "commit", "folder", "token")
#: What is run when nobody says: as far up as possible, in this order, else the only file there is.
LIKELY = ("train.py", "main.py", "__main__.py", "run.py")
_places = threading.BoundedSemaphore(AT_ONCE)
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,199}")
_TOO_LARGE = frozenset({"archive.too_large", "archive.bomb", "archive.too_many", "git.too_large"})


def read_upload(received: Received, entry_point: object) -> Code:
    """The script or the archive that was uploaded. Raises Invalid, TooLarge."""
    kind = kind_of(received.head)
    if not kind and not received.filename.lower().endswith((".zip", ".tar.gz", ".tgz", ".tar")):
        name = check_name(name_from(received.filename) if entry_point in (None, "") else entry_point)
        return check_code(received.script(), name)
    with tempfile.TemporaryDirectory(prefix="atelier-code-") as scratch, received.stream() as file:
        answer = _run({"kind": "archive"}, Path(scratch), stdin=file)
        source = {"kind": "archive", "file": received.filename[-100:]}
        return _package(Path(scratch) / TARGET, {**source, **answer}, entry_point)


def read_git(given: object, entry_point: object) -> Code:
    """The files of a commit. given: {"url", "commit"?, "folder"?, "token"?}. Raises Invalid, TooLarge, TooMany."""
    if not isinstance(given, Mapping) or not given:
        raise Invalid(
            "git.url",
            'The repository must be an object such as {"url": "https://host/owner/name", "commit": "…"}.',
            {"field": "git"},
        )
    for name in given:
        if name not in GIT_FIELDS:
            raise Invalid(
                "run.unknown_field",
                f"A repository has no field '{str(name)[:60]}'. It knows: {', '.join(GIT_FIELDS)}.",
                {"field": f"git.{str(name)[:60]}"},
            )
    ref = _ref(given.get("commit"))
    folder = _folder(given.get("folder"))
    address = check_address(given.get("url"))
    header = _header(given.get("token"), address)
    request = {
        "kind": "git", "url": address.url, "shown": address.shown, "ref": ref, "path": folder,
        "pins": address.pins, "plain": address.plain, "local": address.local,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="atelier-code-") as scratch:
        answer = _run(request, Path(scratch), header=header)
        source = {"kind": "git", "url": address.shown, "ref": "" if ref == "HEAD" else ref, "folder": folder}
        return _package(Path(scratch) / TARGET, {**source, **answer}, entry_point)


def _ref(value: object) -> str:
    if value in (None, ""):
        return "HEAD"
    plain = isinstance(value, str) and _REF.fullmatch(value)
    if not plain or ".." in str(value) or "//" in str(value) or str(value).endswith((".", "/", ".lock")):
        raise refuse("no_commit", "A commit is its hash, or the name of a branch or a tag.", "git.commit")
    return str(value)


def _folder(value: object) -> str:
    text = check_text(value, field="git.folder").strip().strip("/")
    if len(text) > 300 or any(part in ("", ".", "..") for part in text.split("/") if text) or "\\" in text:
        raise refuse(
            "no_folder", "The folder is a path inside the repository, such as examples/iris.", "git.folder"
        )
    return text


def _header(token: object, address: Address) -> str:
    """How the token travels: in a variable of one process, never in an address, an argument or a file."""
    if token in (None, ""):
        return ""
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,500}", token):
        raise refuse("credentials", "The token has characters that no token has.", "git.token")
    if not address.url.startswith("https:"):
        raise refuse("credentials", "A token is sent over https only.", "git.token")
    return "Authorization: Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()


def _run(
    request: Mapping[str, Any], scratch: Path, *, stdin: IO[bytes] | None = None, header: str = ""
) -> dict[str, Any]:
    """What the confined process answers. Raises what it found as an error of ours."""
    if request["kind"] == "git" and shutil.which("git") is None:
        raise refuse(
            "not_installed", "The program git is not installed on the studio's machine; upload an archive."
        )
    if not _places.acquire(timeout=WAIT_SECONDS):
        raise TooMany(
            "script.busy",
            "Other archives and repositories are being read right now; try again.",
            retry_after=15,
        )
    try:
        answer = _answer(request, scratch, stdin, header)
    finally:
        _places.release()
    if answer.pop("ok", False):
        return answer
    code, message, detail = str(answer["code"]), str(answer["message"]), dict(answer.get("detail") or {})
    raise (TooLarge if code in _TOO_LARGE else Invalid)(code, message, detail)


def _answer(
    request: Mapping[str, Any], scratch: Path, stdin: IO[bytes] | None, header: str
) -> dict[str, Any]:
    git = request["kind"] == "git"
    boot = _BOOT.format(root=str(ROOT), platform=str(ROOT / "platform"))
    passed = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
    env = {name: os.environ[name] for name in passed if name in os.environ}
    env |= {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch)}
    env |= {"FETCH_HEADER": header} if header else {}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", boot, json.dumps(request), str(scratch)],
        stdin=stdin if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd="/",
        start_new_session=True,
    )
    try:
        output, said = process.communicate(timeout=SECONDS[str(request["kind"])])
    except subprocess.TimeoutExpired:
        output, said = b"", b"timeout"
    finally:
        _end(process)
    try:
        answer = json.loads(output)
        return dict(answer)
    except ValueError:
        pass
    if said == b"timeout" and git:
        raise refuse("timeout", f"{request['shown']} did not deliver the commit within {SECONDS['git']} s.")
    if git:
        raise refuse(
            "unreachable", f"{request['shown']} could not be fetched within the limits of time and memory."
        )
    raise Invalid(
        "archive.unreadable",
        "The archive could not be read within the limits of time and memory.",
        {"field": "code"},
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of it stays, whatever it started."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _package(path: Path, source: dict[str, Any], entry_point: object) -> Code:
    """The packed files with their entry point, checked like a script."""
    if path.stat().st_size > PACKED_BYTES:
        raise TooLarge(
            "archive.too_large",
            f"The files are larger than {PACKED_BYTES // 1000**2} MB when they are packed. Data belongs into a dataset.",
            {"field": "code", "limit": PACKED_BYTES},
        )
    with zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist()]
        root = common_folder(names) if source["kind"] == "archive" else ""
        entry = choose_entry(names, root, entry_point)
        info = archive.getinfo(f"{root}{entry}")
        if info.file_size > CODE_BYTES:
            raise TooLarge(
                "script.too_large", f"{entry} has {info.file_size:,} bytes; {CODE_BYTES:,} are allowed for the script "
                "that is run.", {"field": "entry_point", "limit": CODE_BYTES},
            )  # fmt: skip
        text = archive.read(info)
    try:
        checked = check_code(text, entry)
    except AtelierError as error:
        detail = {**error.detail, "field": "entry_point"}
        raise type(error)(error.code, error.message, detail) from None
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    kept = {name: value for name, value in {**source, "root": root}.items() if value not in ("", [])}
    return Code(checked.name, data, digest, checked.text, kept)


def common_folder(names: list[str]) -> str:
    """The one folder that holds everything ("name-main/"), as hosts of repositories pack it; "" when there is none,
    or when it is a Python package that its own files import by name."""
    first = names[0].partition("/")[0] + "/"
    together = all(name.startswith(first) for name in names) and f"{first}__init__.py" not in names
    return first if together else ""


def choose_entry(names: list[str], root: str, wanted: object) -> str:
    """The entry point below the common folder. Raises Invalid "script.no_entry_point" with what there is."""
    inside = [name[len(root) :] for name in names]
    scripts = sorted((n for n in inside if n.endswith(".py")), key=lambda n: (n.count("/"), n))
    if wanted not in (None, ""):
        if not isinstance(wanted, str):
            raise Invalid(
                "script.bad_name",
                "The entry point is the path of a file, such as src/train.py.",
                {"field": "entry_point"},
            )
        asked = wanted.strip().removeprefix("./")
        for candidate in (asked, asked.removeprefix(root)):
            if candidate in inside:
                return _checked_path(candidate)
        raise _missing(f"There is no file '{asked[:100]}'", scripts)
    top = [name for name in scripts if "/" not in name]
    likely = next((name for name in LIKELY if name in top), None)
    if likely is None and len(top or scripts) == 1:
        likely = (top or scripts)[0]
    if likely is None:
        raise _missing("Say which file is to be run", scripts)
    return _checked_path(likely)


def _checked_path(path: str) -> str:
    if not path.endswith(".py") or len(path) > 100:
        raise Invalid(
            "script.bad_name",
            "The entry point is a Python file (.py), with a path of 100 characters at most.",
            {"field": "entry_point"},
        )
    folder, _, name = path.rpartition("/")
    if name == "__main__.py":
        return path
    return f"{folder}/{check_name(name)}" if folder else check_name(name)


def _missing(lead: str, scripts: list[str]) -> Invalid:
    shown = ", ".join(scripts[:8]) + (" …" if len(scripts) > 8 else "")
    there = f"the Python files are: {shown}." if scripts else "there is no Python file at all."
    return Invalid(
        "script.no_entry_point",
        f"{lead}: {there}",
        {"field": "entry_point", "files": [n[:200] for n in scripts[:50]]},
    )
