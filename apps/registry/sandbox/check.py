"""Program of the job registry.check: is this version fit to take an alias?

Four checks, in this order: it loads; it predicts its own input example; its columns are those of the version
that holds the alias now; its metric is not worse than the holder's on the same data. Where the holder was
judged on another dataset version, the holder is judged anew, here, on the candidate's test rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.tracking.models import ModelDescription, describe, example_frame, load
from apps.registry.sandbox.folders import rebuild
from apps.registry.sandbox.judging import Verdict, compare
from foundation.tasks import Context

TITLES = {
    "loads": "Loads",
    "predicts": "Predicts its own example",
    "schema": "Same columns as the present holder",
    "metric": "Not worse than the present holder",
}


def main(ctx: Context) -> dict[str, Any]:
    """payload: candidate and holder {label, files, task, target, metrics, primary_metric, dataset}, alias,
    same_data. inputs: their files, and `judged`, the rows on which the candidate was judged.
    Returns {"checks": [{name, title, state, message}]}."""
    checks: list[dict[str, str]] = []

    def note(name: str, state: str, message: str) -> None:
        checks.append({"name": name, "title": TITLES[name], "state": state, "message": message})
        ctx.log.info("%s: %s. %s", TITLES[name], state, message)
        ctx.progress(len(checks), len(TITLES), TITLES[name])

    candidate = ctx.payload["candidate"]
    folder = rebuild(ctx, candidate["files"], "candidate")
    model, described = _load(folder, candidate["label"], note)
    if model is None or described is None:
        for name in ("predicts", "schema", "metric"):
            note(name, "skipped", "Not looked at, because the model does not load.")
        return {"checks": checks}
    _predict(model, candidate["label"], note)
    holder = ctx.payload["holder"]
    if holder is None:
        nobody = f"No version holds '{ctx.payload['alias']}' yet, so there is nothing to compare with."
        note(
            "schema",
            "passed" if described.columns else "failed",
            nobody if described.columns else _no_signature(candidate["label"]),
        )
        note("metric", "passed", nobody)
        return {"checks": checks}
    holder_folder = rebuild(ctx, holder["files"], "holder")
    _schema(described, candidate["label"], holder_folder, holder["label"], note)
    verdict = compare(
        model=model,
        folder=holder_folder,
        candidate=candidate,
        holder=holder,
        same_data=bool(ctx.payload.get("same_data")),
        judged=ctx.inputs.get("judged"),
    )
    note("metric", verdict.state, verdict.message)
    return {"checks": checks}


def _load(folder: Path, label: str, note: Any) -> tuple[Any, ModelDescription | None]:
    """Whatever a model's code raises is its own fault: a failed check, not a failed job."""
    try:
        described = describe(folder)
        model = load(folder)
    except Exception as error:
        note("loads", "failed", f"{label} cannot be loaded: {_one_line(error)}")
        return None, None
    note("loads", "passed", f"{label} loads.")
    return model, described


def _predict(model: Any, label: str, note: Any) -> None:
    try:
        frame = example_frame(model)
    except Exception as error:
        note("predicts", "failed", f"The input example of {label} cannot be read: {_one_line(error)}")
        return
    if frame is None:
        note(
            "predicts", "failed", f"{label} was saved without an input example: log it with input_example=…."
        )
        return
    try:
        answer = model.predict(frame)
        size = len(answer)
    except Exception as error:
        note("predicts", "failed", f"{label} cannot predict its own input example: {_one_line(error)}")
        return
    if hasattr(frame, "__len__") and size != len(frame):
        note("predicts", "failed", f"{label} gave {size} answers for {len(frame)} rows of its own example.")
        return
    note("predicts", "passed", f"{label} gave {size} answer{'s' if size != 1 else ''} for its own example.")


def _schema(described: ModelDescription, label: str, folder: Path, holder: str, note: Any) -> None:
    try:
        present = describe(folder)
    except ValueError as error:
        note("schema", "failed", f"The columns of {holder} cannot be read: {_one_line(error)}")
        return
    if not described.columns:
        note("schema", "failed", _no_signature(label))
        return
    problems = _differences(described.columns, present.columns)
    if [c["type"] for c in described.outputs] != [c["type"] for c in present.outputs]:
        problems.append("the type of the answer differs")
    if problems:
        note("schema", "failed", f"Compared with {holder}: {'; '.join(problems)}.")
    else:
        note(
            "schema",
            "passed",
            f"{label} takes and gives the same {len(described.columns)} columns as {holder}.",
        )


def _differences(mine: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[str]:
    """Sentences about columns that callers of the holder would stumble over."""
    new = {c["name"]: c for c in mine}
    old = {c["name"]: c for c in theirs}
    problems = []
    if missing := [name for name in old if name not in new]:
        problems.append(f"it does not know {_names(missing)}")
    if extra := [name for name in new if name not in old]:
        problems.append(f"it also wants {_names(extra)}")
    for name in new:
        if name in old and new[name]["type"] != old[name]["type"]:
            problems.append(f"'{name}' is {new[name]['type']}, was {old[name]['type']}")
        elif name in old and new[name]["required"] and not old[name]["required"]:
            problems.append(f"'{name}' may not be missing any more")
    return problems


def _names(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _no_signature(label: str) -> str:
    return f"{label} was saved without a signature, so nobody knows which columns it takes: log it with one."


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + "…"


__all__ = ["Verdict", "main"]
