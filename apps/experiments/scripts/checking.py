"""Whether a file is a Python script that does something, told without running it."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from dataclasses import dataclass, field
from typing import Any

from foundation.errors import Invalid, TooLarge

#: So large is no script; data belongs into a dataset.
CODE_BYTES = 1024 * 1024
DEFAULT_NAME = "script.py"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,92}\.py")
#: Beside Python's own modules: a file of such a name would be imported in place of the package.
_PACKAGES = frozenset(
    {"joblib", "lightgbm", "matplotlib", "mlflow", "numpy", "optuna", "pandas", "polars", "pyarrow"}
    | {"scipy", "sklearn", "sagemaker", "torch", "xgboost"}
)


@dataclass(frozen=True)
class Code:
    """Code that may run. name: the file that is run; data: that file, or the zip of all files; digest: SHA-256 of
    these bytes, 64 hex digits; text: the source of the file; source: where an archive or a repository came from
    ({} for one file), with its "root" where all files lie in one folder."""

    name: str
    data: bytes
    digest: str
    text: str
    source: dict[str, Any] = field(default_factory=dict)


def check_code(data: bytes, name: str) -> Code:
    """The script in these bytes. Raises Invalid with a "script.…" code and the field "code" (a syntax error
    with line and column), TooLarge."""
    if len(data) > CODE_BYTES:
        raise TooLarge(
            "script.too_large",
            f"The script has {len(data):,} bytes; {CODE_BYTES:,} are allowed. Data belongs into a dataset.",
            {"field": "code", "limit": CODE_BYTES},
        )
    text = _text(data)
    tree = _parse(text, name)
    if not any(_does_something(statement) for statement in tree.body):
        raise _nothing_to_run(tree, name)
    return Code(name, data, hashlib.sha256(data).hexdigest(), text)


def check_name(name: object, *, field: str = "entry_point") -> str:
    """The name of the script's file. Raises Invalid "script.bad_name"."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Invalid(
            "script.bad_name",
            "The entry point is the name of the file, such as train.py: letters, digits, '_', '-', '.', and "
            ".py at the end. The file runs from its first line as `python train.py` would.",
            {"field": field},
        )
    stem = name.removesuffix(".py")
    if stem in sys.stdlib_module_names or stem in _PACKAGES:
        raise Invalid(
            "script.bad_name",
            f"A file called {name} would be imported in place of the package '{stem}'. Call it something "
            f"else, such as my_{name}.",
            {"field": field},
        )
    return name


def name_from(filename: str) -> str:
    """A usable name from that of an uploaded file, which may be anything."""
    last = re.split(r"[/\\]", filename)[-1].strip()
    cleaned = re.sub(r"[^A-Za-z0-9_.-]", "_", last)[:96]
    return cleaned if _NAME.fullmatch(cleaned) else DEFAULT_NAME


def _invalid(code: str, sentence: str, **detail: object) -> Invalid:
    return Invalid(code, sentence, {"field": "code", **detail})


def _text(data: bytes) -> str:
    if b"\x00" in data:
        raise _invalid("script.not_text", "The file contains NUL bytes, so it is no Python script.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _invalid(
            "script.not_text",
            f"The script is not UTF-8: line {line} has a byte that UTF-8 does not know. Save it as UTF-8.",
            line=line,
        ) from None
    if not text.strip():
        raise _invalid("script.empty", "The script is empty.")
    first = text.lstrip().split("\n", 1)[0].strip()
    if first.startswith("#!") and "python" not in first:
        raise _invalid(
            "script.not_python", f"The file begins with '{first[:80]}': it is a script for another program."
        )
    if text.lstrip()[:1] in "{[" and _is_json(text):
        raise _invalid(
            "script.not_python",
            "The file is JSON, not a Python script. A notebook is exported as a script first: "
            "jupyter nbconvert --to script.",
        )
    return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parse(text: str, name: str) -> ast.Module:
    try:
        compile(text, name, "exec", dont_inherit=True)
        return ast.parse(text, name)
    except SyntaxError as error:
        line, column = error.lineno or 1, error.offset or 1
        where = f"line {line}, column {column}"
        source = (error.text or "").strip()[:120]
        raise _invalid(
            "script.syntax",
            f"{name} cannot be read as Python: {error.msg} at {where}" + (f": {source}" if source else "."),
            line=line,
            column=column,
            text=source,
        ) from None
    except (RecursionError, MemoryError, ValueError, OverflowError):
        raise _invalid("script.syntax", f"{name} is nested more deeply than Python can read.") from None


def _does_something(statement: ast.stmt) -> bool:
    """Whether running a top-level statement can have an effect beside making a name known."""
    if isinstance(
        statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    ):
        return False
    if isinstance(statement, ast.Pass):
        return False
    if isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign):
        return any(isinstance(node, ast.Call | ast.Await) for node in ast.walk(statement))
    return True


def _nothing_to_run(tree: ast.Module, name: str) -> Invalid:
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    if not functions:
        return _invalid(
            "script.no_entry_point", f"{name} has no statement that does anything, so nothing would run."
        )
    likely = next((n for n in ("main", "train", "run", "fit") if n in functions), functions[-1])
    return _invalid(
        "script.no_entry_point",
        f"{name} defines functions but calls none of them, so nothing would run. End it with: "
        f'if __name__ == "__main__": {likely}()',
        functions=functions[:20],
    )
