"""The process in which a script runs: forked from the job's child, a session of its own, ended like a program.

The file is executed as `python script.py` would: as __main__, in its own folder, with its arguments. The
studio's own modules are out of its way. How it ended travels through a pipe, since its exit code says little.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from adapters.executors import landlock
from adapters.executors.child import leave
from adapters.executors.confine import die_with_parent, drop_capabilities
from apps.experiments.sandbox import script_main

OWN_PACKAGES = ("apps", "adapters", "foundation", "gateway", "runtime", "atelier")
#: Without /opt, /srv, /home and the like, where a studio may keep its data.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/nix/store",
    "/run/systemd/resolve", "/run/resolvconf", "/var/cache/fontconfig",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm")  # noqa: S108
#: Processes and threads that a script may have beside those its account has already.
TASKS = 1024


def run_forked(
    script: Path,
    *,
    base: Path,
    work: Path,
    arguments: Sequence[str],
    variables: Mapping[str, str],
    answer: int,
    parent: int,
    interpreter: str = "",
) -> NoReturn:
    """Become the script; never returns. base: the folder of all its code, its current folder; work: what it may
    write into; answer: the writing end of a pipe; parent: who forked us; interpreter: the Python of another
    environment."""
    code = 1
    try:
        program = Path(script_main.__file__).read_text(encoding="utf-8") if interpreter else ""
        _settle(script, base, work, arguments, variables, parent, interpreter)
        if interpreter:
            _become(interpreter, program, [str(answer), str(script), str(base), *arguments])
        code = script_main.execute(script, base, answer)
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)


def _settle(
    script: Path,
    base: Path,
    work: Path,
    arguments: Sequence[str],
    variables: Mapping[str, str],
    parent: int,
    interpreter: str,
) -> None:
    os.setsid()
    die_with_parent(parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for descriptor in (3, 4):  # the job's own progress pipe and result file
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _limit_tasks()
    os.environ.update(variables)
    os.chdir(base)
    sys.argv = [script.relative_to(base).as_posix(), *arguments]
    roots = {str(Path(__file__).resolve().parents[3]), str(Path(__file__).resolve().parents[3] / "platform")}
    own = dict.fromkeys([str(script.parent), str(base)])
    sys.path[:] = [*own, *(entry for entry in sys.path if entry not in roots)]
    drop_capabilities()
    landlock.restrict(read=_readable(interpreter), write=_writable(work))
    for name in list(sys.modules):
        if name.partition(".")[0] in OWN_PACKAGES:
            del sys.modules[name]


def _readable(interpreter: str) -> set[str]:
    """What a Python program reads of the machine: the system, the interpreter and its packages."""
    other = {str(Path(interpreter).parents[1])} if interpreter else set()
    own = {
        *other,
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        os.path.dirname(os.path.realpath(sys.executable)),
    }
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    certificates = (os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    found = {*SYSTEM, *own, *sys.path, *libraries, *certificates}
    return {path for path in found if os.path.isabs(path) and path != "/"}


def _writable(work: Path) -> set[str]:
    """Its working folder, its home and its temporary folder, and the devices that every program may use. Not
    what lies beside them: the log, and the result that the studio reads."""
    return {str(work), os.environ["HOME"], os.environ["TMPDIR"], *DEVICES}


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


def _become(interpreter: str, program: str, given: list[str]) -> NoReturn:
    """Go on in the Python of another environment: the same process, the same confinement, other packages.

    program: the text of script_main; given: its arguments, the descriptor of the answer first.
    """
    place = str(Path(interpreter).parents[1])
    os.environ["VIRTUAL_ENV"] = place
    os.environ["PATH"] = os.pathsep.join([f"{place}/bin", os.environ.get("PATH", os.defpath)])
    os.set_inheritable(int(given[0]), True)
    sys.stdout.flush()
    sys.stderr.flush()
    call = f"{program}\n\nsys.exit(begin(sys.argv[1:]))\n"
    os.execv(interpreter, [interpreter, "-c", call, *given])  # noqa: S606  (the environment that was asked for)
