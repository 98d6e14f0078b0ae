"""Runs a file as `python file.py` would and tells through a pipe how it ended. Standard library only.

Used in two ways: called in a process that was forked with the libraries already imported, and, for an environment of
somebody's own, given to its interpreter as a text (`python -c`), where nothing of the studio can be imported.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import json
import linecache
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

#: An answer fits into a pipe, so that writing it never waits for a reader.
ANSWER_BYTES = 32 * 1024
MESSAGE_LENGTH = 1500
FRAMES = 8


def execute(script: Path, base: Path, answer: int) -> int:
    """Run the file; returns the exit code, and writes an answer for every end that is not a plain exit."""
    source = script.read_text(encoding="utf-8-sig")
    name = script.relative_to(base).as_posix()
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    module = ModuleType("__main__")
    module.__dict__.update({"__file__": str(script), "__builtins__": builtins})
    sys.modules["__main__"] = module
    try:
        exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (its purpose)
    except SystemExit as error:
        return _after_exit(error, answer)
    except BaseException as error:
        _say(answer, _told(error, name, base))
        _print(error, name)
        return 1
    return 0


def _after_exit(error: SystemExit, answer: int) -> int:
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    _say(answer, {"kind": "exit", "message": str(error.code)[:MESSAGE_LENGTH]})
    return 1


def _told(error: BaseException, name: str, base: Path) -> dict[str, Any]:
    prefix = f"{base}{os.sep}"
    trace = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in trace if frame.filename == name or frame.filename.startswith(prefix)]
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return {
        "kind": "memory" if isinstance(error, MemoryError) else "disk" if full else "exception",
        "type": type(error).__name__,
        "message": _text(error),
        "too_large": isinstance(error, OSError) and error.errno == errno.EFBIG,
        "frames": [
            {
                "file": frame.filename.removeprefix(prefix)[:200],
                "line": frame.lineno,
                "function": frame.name,
                "text": (frame.line or "")[:200],
            }
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


def begin(given: list[str]) -> int:
    """The beginning in another interpreter. given: the descriptor of the answer, the file, the folder of all its
    code, and its arguments. Returns the exit code."""
    answer, script, base = int(given[0]), Path(given[1]), Path(given[2])
    os.set_inheritable(answer, False)
    with contextlib.suppress(Exception):  # an exec has made this process readable for its neighbours again
        import ctypes

        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    sys.argv = [script.relative_to(base).as_posix(), *given[3:]]
    own = dict.fromkeys([str(script.parent), str(base)])
    sys.path[:] = [*own, *(entry for entry in sys.path if entry)]
    return execute(script, base, answer)
