"""From nothing but Python to the locked environment. Standard library only.

The environment is .venv beside manage.py. A stamp in it says which lock it was made from; when the lock
changes it is brought up to date. Two commands at once wait for one another. An environment of the user's own
that holds the locked versions is taken as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from runtime.errors import RuntimeFault

ROOT = Path(__file__).resolve().parents[2]
RUN = "requirements.txt"
TEST = "requirements-dev.txt"  # holds everything of RUN at the same versions, and the test tools
INSTALLER = Path(__file__).with_name("requirements-uv.txt")
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / "atelier-lock.json"
LOCK = ROOT / ".venv.lock"
REENTERED = "_ATELIER_REENTERED"


def ensure(lock: str) -> None:
    """Return inside an environment that holds `lock`, or replace this process by one that does.

    With an empty `lock` nothing is installed; an existing environment is entered. Raises RuntimeFault with a
    sentence when the machine is not supported or the installation fails.
    """
    check_machine()
    os.environ.setdefault("PYTHONUTF8", "1")
    if not lock:
        if not _inside() and _python().exists():
            _enter()
        return
    if _inside() and _stamped(lock):
        return
    if not _inside() and sys.prefix != sys.base_prefix and _satisfies(lock):
        return
    if not _stamped(lock):
        with _alone():
            if not _stamped(lock):  # the one we waited for may have done it
                _install(lock)
    _enter()


def check_machine() -> None:
    """Raise RuntimeFault, one sentence, where the locked wheels do not exist."""
    system, machine = sys.platform, platform.machine().lower()
    if system == "linux":
        if machine not in {"x86_64", "amd64", "aarch64", "arm64"}:
            raise RuntimeFault(f"Atelier runs on x86-64 and arm64, but this machine is {machine}.")
        if platform.libc_ver()[0] != "glibc":
            raise RuntimeFault("Atelier needs a Linux with glibc (Debian, Ubuntu, Fedora …), not musl.")
    elif system == "darwin":
        if machine != "arm64":
            raise RuntimeFault(
                "Atelier runs on Macs with Apple silicon only: some libraries end Intel support."
            )
    else:
        raise RuntimeFault(f"Atelier runs on Linux and macOS, but this system is {system}.")


def _python() -> Path:
    return ENVIRONMENT / "bin" / "python"


def _inside() -> bool:
    return Path(sys.prefix).resolve() == ENVIRONMENT.resolve()


def _enter() -> None:
    if os.environ.get(REENTERED) == str(os.getpid()):
        raise RuntimeFault(f"The environment {ENVIRONMENT} is broken: delete that folder and try again.")
    os.environ[REENTERED] = str(os.getpid())  # exec keeps the pid: a second entry means a loop
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(_python(), [str(_python()), str(ROOT / "manage.py"), *sys.argv[1:]])  # noqa: S606


def digest(lock: str) -> str:
    """The digest of a lock file."""
    return hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()


def _stamped(lock: str) -> bool:
    try:
        known = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(known.get(lock) == digest(lock)) and _python().exists()


def _satisfies(lock: str) -> bool:
    """Whether the running interpreter holds every unconditional pin of `lock`."""
    return next(deviations(lock), None) is None


def deviations(lock: str) -> Iterator[str]:
    """Names of packages that the running interpreter lacks, or holds at another version than `lock`."""
    for name, version in pins(lock):
        try:
            if importlib.metadata.version(name) != version:
                yield name
        except importlib.metadata.PackageNotFoundError:
            yield name


def pins(lock: str) -> Iterator[tuple[str, str]]:
    """(name, version) of the lock's lines without a marker."""
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        found = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)\s*\\?$", line)
        if found:
            yield found.group(1), found.group(2)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    try:
        handle = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise RuntimeFault(
            f"The folder {ROOT} cannot be written ({error.strerror}), so no environment can be made in it: "
            "clone the repository into a folder of your own."
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command is making the environment; waiting for it …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _install(lock: str) -> None:
    begun = time.monotonic()
    STAMP.unlink(missing_ok=True)
    if not _works():
        _make()
    installer = ENVIRONMENT / "bin" / "uv"
    _pip("Installing the installer (uv) …", "--require-hashes", "-r", str(INSTALLER))
    count = sum(1 for _ in pins(lock))
    say(f"Installing about {count} locked packages; the first time this fetches some hundred megabytes …")
    _call(
        [
            *(str(installer), "pip", "install", "--python", str(_python()), "--require-hashes"),
            *("-r", str(ROOT / lock), *([] if sys.stderr.isatty() else ["--quiet"])),
        ],
        "The packages cannot be installed",
    )
    stamp(lock)
    say(f"The environment is complete ({time.monotonic() - begun:.0f} s).")


def stamp(lock: str) -> None:
    """Note in .venv that it holds `lock` (and, for the test lock, what running needs)."""
    names = (RUN, TEST) if lock == TEST else (RUN,)
    STAMP.write_text(json.dumps({name: digest(name) for name in names}), encoding="utf-8")


def _works() -> bool:
    """Whether .venv holds an interpreter that starts and has pip (a killed start leaves half of one)."""
    if not _python().exists():
        return False
    check = [
        str(_python()),
        "-c",
        "import pip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))",
    ]
    return subprocess.run(check, capture_output=True, check=False).returncode == 0


def _make() -> None:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise RuntimeFault(
            "This Python cannot make environments: install its venv package "
            f"(on Debian and Ubuntu: apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv)."
        )
    say(f"Making the environment in {ENVIRONMENT} with Python {platform.python_version()} …")
    # A half-made one is removed, never the folder of a working environment.
    if ENVIRONMENT.exists():
        shutil.rmtree(ENVIRONMENT)
    base = getattr(sys, "_base_executable", None) or sys.executable
    _call([base, "-m", "venv", str(ENVIRONMENT)], "The environment cannot be made")


def _pip(message: str, *arguments: str) -> None:
    say(message)
    _call(
        [str(_python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments],
        "The installer uv cannot be installed",
    )


def _call(command: list[str], complaint: str) -> None:
    """Run an installation step; its own output is shown on a terminal, else only when it fails."""
    shown = sys.stderr.isatty()
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=_installer_environment(),
        stdout=sys.stderr if shown else subprocess.PIPE,
        stderr=None if shown else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        tail = "\n".join((result.stdout or "").strip().splitlines()[-12:])
        where = "above" if shown else "below"
        raise RuntimeFault(
            f"{complaint}; the reason stands {where}. Is the network reachable?\n{tail}".strip()
        )


def _installer_environment() -> dict[str, str]:
    """Let uv use the index and the certificates that pip's variables name, unless uv has its own."""
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    for ours, theirs in (("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), ("SSL_CERT_FILE", "PIP_CERT")):
        if env.get(theirs) and not env.get(ours):
            env[ours] = env[theirs]
    return {"UV_LINK_MODE": "copy", **env} if sys.platform == "darwin" else env


def say(message: str) -> None:
    """One line of progress; standard output stays clean for commands that print a result."""
    print(f"Atelier: {message}", file=sys.stderr, flush=True)
