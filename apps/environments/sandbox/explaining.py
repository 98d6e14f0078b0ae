"""What uv says when it cannot, as one sentence for a person. Standard library only."""

from __future__ import annotations

import re

from foundation.tasks import UserError

EXPLANATION_AT_MOST = 1200
_UNREACHABLE = re.compile(
    r"error sending request|failed to fetch|dns error|connection refused|connect error|timed out|"
    r"network is unreachable|network connectivity is disabled|certificate",
    re.IGNORECASE,
)


def explain(said: str, lead: str) -> UserError:
    """The error of a failed step: code "environment.unresolvable", "environment.no_wheel",
    "environment.index_down" or "environment.not_installed"; the whole text is in the log."""
    reason = shorten(said)
    detail = {"explanation": said[-4000:]}
    if _UNREACHABLE.search(said) and "not found in the package registry" not in said:
        return UserError(
            f"The package index cannot be reached: {reason}", code="environment.index_down", detail=detail
        )
    if re.search(r"no usable wheels|building from source is disabled|has no .*wheel", said, re.IGNORECASE):
        return UserError(
            f"{lead}: {reason} Packages that have to be compiled first are not taken.",
            code="environment.no_wheel",
            detail=detail,
        )
    code = (
        "environment.unresolvable"
        if "resolv" in said or "unsatisfiable" in said
        else "environment.not_installed"
    )
    return UserError(f"{lead}: {reason}", code=code, detail=detail)


def shorten(said: str) -> str:
    """The resolver's own reasons without its frame, in at most 1,200 characters."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    kept: list[str] = []
    for line in lines:
        if re.match(r"(hint|help|warning|note)\b", line, re.IGNORECASE):
            break
        plain = re.sub(r"^(error|cause|caused by|×|├─▶|╰─▶|│|[0-9]+:)\s*:?\s*", "", line, flags=re.IGNORECASE)
        if plain and not re.match(r"No solution found when resolving", plain):
            kept.append(plain)
    text = re.sub(r"\s+", " ", " ".join(kept)).strip()
    ending = ", so nothing fits." if "And because" in text else "."
    text = re.sub(r",? we can conclude that your requirements are unsatisfiable\.?$", ending, text)
    text = re.sub(r"^Because (.*?) and you require ([^,]*?)\.$", r"\1, and you require \2.", text)
    text = re.sub(r"^Because (you require [^,]*)$", r"\1", text)
    text = re.sub(r"\.\.+$", ".", text) or "uv gave no reason."
    text = text if text.endswith(".") else f"{text}."
    return text if len(text) <= EXPLANATION_AT_MOST else text[: EXPLANATION_AT_MOST - 1].rstrip() + "…"
