"""The parameter tables of docs/experiments.md, made from the algorithms' own schemas."""

from __future__ import annotations

from apps.experiments import algorithms
from apps.experiments.algorithms.schema import TASKS, Algorithm, Parameter

BEGIN = "<!-- parameters: made by manage.py document_algorithms -->"
END = "<!-- end of parameters -->"


def tables() -> str:
    """All algorithms with their parameters, in Markdown."""
    return "\n\n".join(_section(a) for a in algorithms.every().values())


def _section(algorithm: Algorithm) -> str:
    rows = [
        f"### {algorithm.title} (`{algorithm.name}`)",
        "",
        algorithm.description,
        "",
        "| parameter | default | allowed | |",
        "|---|---|---|---|",
        *[_row(p) for p in algorithm.parameters],
    ]
    return "\n".join(rows)


def _row(parameter: Parameter) -> str:
    only = "" if set(parameter.tasks) == set(TASKS) else f" ({parameter.tasks[0]} only)"
    scale = ", log scale" if parameter.log else ""
    default = "empty" if parameter.default is None else f"{parameter.default}".lower()
    if isinstance(parameter.default, str):
        default = parameter.default
    return f"| `{parameter.name}`{only} | {default} | {parameter.range_text}{scale} | {parameter.help} |"


def renewed(text: str) -> str:
    """The page with its tables between BEGIN and END made anew. Raises ValueError without the two marks."""
    head, begun, rest = text.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not begun or not ended:
        raise ValueError("docs/experiments.md has lost the marks around its parameter tables")
    return f"{head}{BEGIN}\n\n{tables()}\n\n{END}{tail}"
