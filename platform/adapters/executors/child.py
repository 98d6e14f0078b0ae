"""The child between fork and the program: descriptors, environment, confinement, and a clean way out."""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn, TextIO

from adapters.executors.confine import Limits, confine
from adapters.executors.isolation import Cell, NotIsolated
from adapters.executors.program import NOT_ISOLATED, not_isolated, run_in_child, write_report
from foundation.tasks import SandboxPlan

NO_REPORT = 70
RESULT = 4
_inherited: list[TextIO] = []  # kept, so that nobody closes their descriptors


def become_child(
    plan: SandboxPlan,
    folder: Path,
    *,
    environment: dict[str, str],
    limits: Limits,
    threads: int,
    output: int,
    progress: int,
    result: int,
    parent: int,
    cell: Cell,
) -> NoReturn:
    """Turn the freshly forked process into the program's own; never returns.

    output and progress: the writing ends of the two pipes; result: the open result file, since its folder is not
    the program's; parent: the nanny's pid.
    """
    code = NO_REPORT
    try:
        _reset_signals()
        progress = _arrange_descriptors(output, progress, result, keep=cell.keep_descriptors())
        os.environ.clear()
        os.environ.update(environment)
        try:
            cell.enter()
            confine(limits, parent=parent)
            os.chdir(folder / "work")
        except NotIsolated as error:
            write_report(folder, not_isolated(error), descriptor=RESULT)
            leave(NOT_ISOLATED)
        _refresh_libraries(threads)
        code = run_in_child(plan, folder, progress, result=RESULT)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            print("The disk is full.", file=sys.stderr)  # the supervisor looks at the disk, too
        else:
            import traceback

            traceback.print_exc()
    finally:
        leave(code)


def _reset_signals() -> None:
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    # As in any fresh interpreter: a closed pipe is an exception, not a death.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.set_wakeup_fd(-1)


def _arrange_descriptors(output: int, progress: int, result: int, *, keep: list[int]) -> int:
    """0 from nowhere, 1 and 2 into the log, 3 for progress, 4 for the result, everything else closed but what is
    kept for a moment. Returns progress."""
    # They may lie anywhere: move them out of the way of 0 to 4 before those are overwritten.
    safe_progress, safe_output, safe_result = (
        fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (progress, output, result)
    )
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(safe_output, 1)
    os.dup2(safe_output, 2)
    os.dup2(safe_progress, 3, inheritable=False)
    os.dup2(safe_result, RESULT, inheritable=False)
    last = RESULT
    for descriptor in (*sorted(keep), 1024):
        os.closerange(last + 1, descriptor)
        last = descriptor
    # Fresh streams: the inherited ones believe that they are still the terminal or file of the parent.
    _inherited.extend((sys.stdout, sys.stderr))
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = _text_stream(descriptor)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    return 3


def _text_stream(descriptor: int) -> TextIO:
    return open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


_pools: list[Any] = []


def find_thread_pools() -> None:
    """Look for the thread pools of the loaded number libraries. The warm parent does it once, since it takes
    longer (12 ms) than everything else that a child does before its program."""
    threadpoolctl = sys.modules.get("threadpoolctl")
    if threadpoolctl is not None and not _pools:
        _pools.append(threadpoolctl.ThreadpoolController())


def _refresh_libraries(threads: int) -> None:
    """What a forked interpreter shares with its siblings and must not: seeds, and the single thread of the
    warm parent's number libraries."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    for pools in _pools:
        pools.limit(limits=threads)
    import tempfile

    tempfile.tempdir = None


def leave(code: int) -> NoReturn:
    """Leave as an interpreter would, without running the parent's own shutdown: wait for threads, run exit
    handlers (joblib's workers would otherwise stay), flush, and go."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:
        os.write(2, f"while leaving: {error!r}\n".encode("utf-8", "replace"))
    finally:
        os._exit(code)
