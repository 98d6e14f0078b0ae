"""The process in which a script runs: forked from the job's child, a session of its own, ended like a program.

The file is executed as `python script.py` would: as __main__, in its own folder, with its arguments. The
studio's own modules are out of its way. How it ended travels through a pipe, since its exit code says little.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import json
import linecache
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn

from adapters.executors import landlock
from adapters.executors.child import leave
from adapters.executors.confine import die_with_parent, drop_capabilities

OWN_PACKAGES = ("apps", "adapters", "foundation", "gateway", "runtime", "atelier")
#: Without /opt, /srv, /home and the like, where a studio may keep its data.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/nix/store",
    "/run/systemd/resolve", "/run/resolvconf", "/var/cache/fontconfig",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm")  # noqa: S108
#: Processes and threads that a script may have beside those its account has already.
TASKS = 1024
#: An answer fits into a pipe, so that writing it never waits for a reader.
ANSWER_BYTES = 32 * 1024
MESSAGE_LENGTH = 1500
FRAMES = 8


def run_forked(
    script: Path, *, arguments: Sequence[str], variables: Mapping[str, str], answer: int, parent: int
) -> NoReturn:
    """Become the script; never returns. answer: the writing end of a pipe; parent: who forked us."""
    code = 1
    try:
        _settle(script, arguments, variables, parent)
        code = _execute(script, answer)
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)


def _settle(script: Path, arguments: Sequence[str], variables: Mapping[str, str], parent: int) -> None:
    os.setsid()
    die_with_parent(parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        os.close(3)  # the job's own progress pipe
    _limit_tasks()
    os.environ.update(variables)
    os.chdir(script.parent)
    sys.argv = [script.name, *arguments]
    roots = {str(Path(__file__).resolve().parents[3]), str(Path(__file__).resolve().parents[3] / "platform")}
    sys.path[:] = [str(script.parent), *(entry for entry in sys.path if entry not in roots)]
    drop_capabilities()
    landlock.restrict(read=_readable(), write=_writable(script))
    for name in list(sys.modules):
        if name.partition(".")[0] in OWN_PACKAGES:
            del sys.modules[name]


def _readable() -> set[str]:
    """What a Python program reads of the machine: the system, the interpreter and its packages."""
    own = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.realpath(sys.executable))}
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    certificates = (os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    found = {*SYSTEM, *own, *sys.path, *libraries, *certificates}
    return {path for path in found if os.path.isabs(path) and path != "/"}


def _writable(script: Path) -> set[str]:
    """Its working folder, its home and its temporary folder, and the devices that every program may use. Not
    what lies beside them: the log, and the result that the studio reads."""
    return {str(script.parent.parent), os.environ["HOME"], os.environ["TMPDIR"], *DEVICES}


def _limit_tasks() -> None:
    """A fork bomb ends at a number; the kernel counts all processes of the account, so theirs are added."""
    import resource

    used = _tasks_of(os.getuid())
    if used is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    allowed = used + TASKS if hard == resource.RLIM_INFINITY else min(used + TASKS, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NPROC, (allowed, allowed))


def _tasks_of(user: int) -> int | None:
    """Processes and threads of an account; None where the kernel does not tell."""
    total = 0
    try:
        entries = [entry for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return None
    for entry in entries:
        try:
            with open(f"/proc/{entry}/status", encoding="ascii", errors="replace") as file:
                lines = dict(line.split(":", 1) for line in file if line.startswith(("Uid:", "Threads:")))
            if int(lines["Uid"].split()[0]) == user:
                total += int(lines["Threads"])
        except (OSError, KeyError, ValueError):
            continue
    return total


def _execute(script: Path, answer: int) -> int:
    """Run the file; returns the exit code, and writes an answer for every end that is not a plain exit."""
    source = script.read_text(encoding="utf-8-sig")
    name = script.name
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    module = ModuleType("__main__")
    module.__dict__.update({"__file__": str(script), "__builtins__": builtins})
    sys.modules["__main__"] = module
    try:
        exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (its purpose)
    except SystemExit as error:
        return _after_exit(error, answer)
    except BaseException as error:
        _say(answer, _told(error, name))
        _print(error, name)
        return 1
    return 0


def _after_exit(error: SystemExit, answer: int) -> int:
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    _say(answer, {"kind": "exit", "message": str(error.code)[:MESSAGE_LENGTH]})
    return 1


def _told(error: BaseException, name: str) -> dict[str, Any]:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return {
        "kind": "memory" if isinstance(error, MemoryError) else "disk" if full else "exception",
        "type": type(error).__name__,
        "message": _text(error),
        "too_large": isinstance(error, OSError) and error.errno == errno.EFBIG,
        "frames": [
            {"line": frame.lineno, "function": frame.name, "text": (frame.line or "")[:200]}
            for frame in frames[-FRAMES:]
        ],
    }


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MESSAGE_LENGTH]
    except Exception:
        return ""


def _say(answer: int, content: dict[str, Any]) -> None:
    data = json.dumps(content).encode()
    if len(data) <= ANSWER_BYTES:
        with contextlib.suppress(OSError):
            os.write(answer, data)


def _print(error: BaseException, name: str) -> None:
    """The traceback as Python prints it, from the script's first line on."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != name:
        trace = trace.tb_next
    sys.stdout.flush()
    traceback.print_exception(type(error), error, trace)
