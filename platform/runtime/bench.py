"""`manage.py bench [NAME]`: a benchmark of tests/benchmarks against its peer in the same run.

A benchmark is a file there with `main(arguments) -> int` and its own call in the docstring; it is run as a program of its own, so that what it
measures is not disturbed by this process.
"""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

from runtime.bootstrap import ROOT
from runtime.errors import RuntimeFault

FOLDER = ROOT / "tests" / "benchmarks"


def main(arguments: list[str]) -> int:
    """List the benchmarks, or replace this process by the named one."""
    known = benchmarks()
    name = arguments[1] if len(arguments) > 1 else ""
    if name in {"", "-h", "--help"}:
        print("Usage: python3 manage.py bench NAME [options]\n")
        for each, (_, summary) in known.items():
            print(f"  {each:<16}{summary}")
        return 0
    if name not in known:
        raise RuntimeFault(f"There is no benchmark {name!r}; there are: {', '.join(known)}.")
    folders = [str(FOLDER), str(ROOT)]
    call = f"import sys; sys.path[:0] = {folders!r}; import {name}; sys.exit({name}.main(sys.argv[1:]))"
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-c", call, *arguments[2:]])  # noqa: S606


def benchmarks() -> dict[str, tuple[Path, str]]:
    """Name → (file, first sentence of its docstring) of every benchmark."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        text = ast.get_docstring(tree) or ""
        has_main = any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
        if has_main and f"manage.py bench {path.stem}" in text:  # others are parts of one
            found[path.stem] = (path, text.splitlines()[0])
    return found
