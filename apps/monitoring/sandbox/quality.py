"""Data quality of a window against its baseline: shares of missing, unseen, out-of-range and mistyped values."""

from typing import TYPE_CHECKING, Any

from apps.monitoring.sandbox import columns
from apps.monitoring.sandbox.sketch import DISCRETE, Sketch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# An issue is listed from this share on; missing values count by how much more there are than in the baseline. Of a
# baseline of N rows, new rows of the same kind leave the range in a share of about 2 / (N + 1): hence the higher bar.
LISTED = {"missing": 0.01, "unseen": 0.01, "out_of_range": 0.05, "mistyped": 0.01}


def measure_quality(sketch: Sketch, counts: "NDArray[np.int64]", mistyped: int) -> dict[str, float | None]:
    """Return shares of the window's rows, each in [0, 1]; None where the question does not apply to the column.

    missing: no value; unseen: a category (or discrete number) that the baseline never held; out_of_range: a number
    below the baseline's minimum or above its maximum; mistyped: text where the baseline has numbers (these also
    count as missing).
    """
    rows = int(counts.sum())
    if rows == 0:
        return {"missing": None, "unseen": None, "out_of_range": None, "mistyped": None}
    numeric = sketch.kind == columns.NUMERIC
    can_tell = sketch.kind == DISCRETE or sketch.known is not None
    return {
        "missing": int(counts[0]) / rows,
        "unseen": None if numeric or not can_tell else int(counts[-1]) / rows,
        "out_of_range": (int(counts[1]) + int(counts[-1])) / rows if numeric else None,
        "mistyped": mistyped / rows if sketch.kind != columns.CATEGORICAL else None,
    }


def list_issues(sketch: Sketch, quality: dict[str, float | None]) -> list[dict[str, Any]]:
    """Return what a person should look at: [{feature, kind, share, baseline, message}]."""
    missing_before = sketch.counts[0] / sketch.rows if sketch.rows else 0.0
    texts = {
        "missing": f"is missing in {{share}} of the rows (baseline {missing_before:.1%})",
        "unseen": "has values that the baseline never held in {share} of the rows",
        "out_of_range": "lies outside the baseline's range in {share} of the rows",
        "mistyped": "holds text where numbers belong in {share} of the rows",
    }
    issues: list[dict[str, Any]] = []
    for kind, text in texts.items():
        share, before = quality[kind], missing_before if kind == "missing" else 0.0
        if share is not None and share - before >= LISTED[kind]:
            message = f"{sketch.name} {text.format(share=f'{share:.1%}')}."
            issues.append(
                {"feature": sketch.name, "kind": kind, "share": share, "baseline": before, "message": message}
            )
    return issues
