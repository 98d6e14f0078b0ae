"""condition: a comparison over outputs. When it does not hold, everything behind it is skipped."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.accounts.models import Project
from apps.experiments.metric_catalogue import direction, title
from apps.pipelines.nodes.base import Done, Field, NodeContext, NodeKind, Output, Step, is_literal
from apps.pipelines.nodes.finding import find_version
from apps.pipelines.types import matches, named
from foundation.errors import Invalid, NotFound

MOST_PARTS = 20
OPERATORS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    ">=": (operator.ge, "below"),
    ">": (operator.gt, "not above"),
    "<=": (operator.le, "above"),
    "<": (operator.lt, "not below"),
    "==": (operator.eq, "not equal to"),
    "!=": (operator.ne, "equal to"),
}
COMPARES = ("left", "operator", "right")
BETTERS = ("metric", "of", "better_than", "by")


@dataclass(frozen=True)
class Verdict:
    """Whether a comparison holds, and the sentence that says so."""

    holds: bool
    said: str


class Condition(NodeKind):
    """One of: left, operator, right · metric, of, better_than · all: […] · any: […]."""

    name = "condition"
    title = "Condition"
    help = "Compares outputs; when it does not hold, the nodes behind it are skipped."
    icon = "filter"
    fields = {
        "left": Field("any", "what is compared."),
        "operator": Field("string", "how.", choices=tuple(OPERATORS)),
        "right": Field("any", "with what."),
        "metric": Field("string", "the metric by which one is better; the metric says whether larger is."),
        "of": Field("metrics", "the metrics of the candidate."),
        "better_than": Field(
            "any",
            'the metrics to beat, or a model version such as "churn@production"; nothing there is beaten.',
        ),
        "by": Field("number", "how much better it has to be; 0 when left out.", low=0),
        "all": Field("list", "comparisons that must all hold."),
        "any": Field("list", "comparisons of which one must hold."),
    }
    outputs = {
        "holds": Output("boolean", "whether it held"),
        "said": Output("string", "the comparison as a sentence"),
    }

    def faults(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from _faults(values, "", nested=False)

    def start(self, ctx: NodeContext) -> Step:
        verdict = judge(ctx.values, ctx.project)
        return Done(
            outputs={"holds": verdict.holds, "said": verdict.said}, said=verdict.said, holds=verdict.holds
        )


def _faults(values: Mapping[str, Any], where: str, *, nested: bool) -> Iterator[tuple[str, str]]:
    forms = [name for name in ("left", "metric", "all", "any") if name in values]
    if len(forms) != 1:
        yield (
            where.rstrip("."),
            "A condition has one form: left, operator, right; or metric, of, better_than; or all; or any.",
        )
        return
    form = forms[0]
    if form in ("all", "any"):
        if nested:
            yield where + form, "Comparisons within a list cannot hold further lists."
            return
        yield from _list_faults(form, values[form])
    elif form == "left":
        yield from _fields(values, COMPARES, COMPARES, where)
        if "operator" in values and is_literal(values["operator"]) and values["operator"] not in OPERATORS:
            yield where + "operator", f"The operator is one of {', '.join(OPERATORS)}."
    else:
        yield from _fields(values, BETTERS, ("metric", "of", "better_than"), where)
        metric = values["metric"]
        if isinstance(metric, str) and is_literal(metric) and direction(metric) == "none":
            yield (
                where + "metric",
                f"Nobody knows which value of '{metric[:60]}' is better; compare with left and right.",
            )


def _fields(
    values: Mapping[str, Any], allowed: tuple[str, ...], needed: tuple[str, ...], where: str
) -> Iterator[tuple[str, str]]:
    for name in values:
        if name not in allowed:
            yield where + name, f"'{name[:60]}' does not go with {', '.join(needed)}."
    if lacking := [name for name in needed if name not in values]:
        yield where.rstrip("."), f"The comparison lacks {' and '.join(lacking)}."


def _list_faults(form: str, parts: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(parts, list) or not 1 <= len(parts) <= MOST_PARTS:
        yield form, f"'{form}' is a list of 1 to {MOST_PARTS} comparisons."
        return
    for index, part in enumerate(parts):
        if isinstance(part, dict):
            yield from _faults(part, f"{form}.{index}.", nested=True)
        else:
            yield f"{form}.{index}", f"A comparison is an object, not {named(part)}."


def judge(values: Mapping[str, Any], project: Project) -> Verdict:
    """Whether a condition holds. Raises Invalid "pipeline.input" for values that cannot be compared."""
    if "all" in values or "any" in values:
        form = "all" if "all" in values else "any"
        verdicts = [judge(part, project) for part in values[form]]
        holds = all(v.holds for v in verdicts) if form == "all" else any(v.holds for v in verdicts)
        telling = [v for v in verdicts if v.holds == holds] or verdicts
        return Verdict(holds, " ".join(verdict.said for verdict in telling))
    if "metric" in values:
        return _better(values, project)
    return _compare(values["left"], values["operator"], values["right"])


def _compare(left: Any, sign: str, right: Any) -> Verdict:
    if sign not in OPERATORS:
        raise Invalid("pipeline.input", f"The operator is one of {', '.join(OPERATORS)}.")
    numbers = matches(left, "number") and matches(right, "number")
    texts = isinstance(left, str) and isinstance(right, str)
    if sign not in ("==", "!=") and not numbers and not texts:
        raise Invalid(
            "pipeline.input",
            f"{_shown(left)} and {_shown(right)} cannot be compared by {sign}: both must be numbers.",
        )
    function, otherwise = OPERATORS[sign]
    holds = function(left, right)
    said = (
        f"{_shown(left)} {sign} {_shown(right)} holds."
        if holds
        else f"{_shown(left)} is {otherwise} {_shown(right)}."
    )
    return Verdict(bool(holds), said)


def _better(values: Mapping[str, Any], project: Project) -> Verdict:
    metric, mine, theirs = values["metric"], values["of"], values["better_than"]
    against, absent = "what it has to beat", ""
    if isinstance(theirs, str):
        against, absent = theirs, f": no version holds {theirs}"
        try:
            theirs = find_version(project, theirs).metrics
        except NotFound as error:
            if error.code != "model.alias_not_found":
                raise
            theirs = None
    if theirs is None:
        return Verdict(True, f"There is nothing to beat yet{absent}.")
    way = direction(str(metric))
    if way == "none":
        raise Invalid("pipeline.input", f"Nobody knows which value of '{str(metric)[:60]}' is better.")
    mine, theirs = _number_of(metric, mine, "the candidate"), _number_of(metric, theirs, against)
    by = values.get("by") or 0
    gain = mine - theirs if way == "max" else theirs - mine
    holds = gain > 0 and gain >= by
    margin = f" by at least {by:g}" if by else ""
    said = f"{title(metric)} {mine:.4g} is {'' if holds else 'not '}better than {theirs:.4g}{margin}."
    return Verdict(holds, said)


def _number_of(metric: str, metrics: Any, whose: str) -> float:
    value = metrics.get(metric) if isinstance(metrics, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        known = ", ".join(sorted(metrics)[:20]) if isinstance(metrics, dict) and metrics else "none"
        raise Invalid("pipeline.input", f"There is no {str(metric)[:60]} of {whose}; there are: {known}.")
    return float(value)


def _shown(value: Any) -> str:
    if matches(value, "number") and not isinstance(value, int):
        return f"{value:.4g}"
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


KIND = Condition()
