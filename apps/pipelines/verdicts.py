"""What the states of some nodes mean for others and for the run. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from apps.pipelines.models import NodeRun
from apps.pipelines.states import DONE, NodeState, PipelineRunState

_PAST = {
    NodeState.FAILED: "failed",
    NodeState.CANCELLED: "was cancelled",
    NodeState.SKIPPED: "was skipped",
}


def why_skipped(needs: Sequence[NodeRun]) -> str:
    """Why a node that needs these will never start, as a sentence; "" while it still may."""
    for need in needs:
        if need.state in _PAST:
            return f"It needs '{need.name}', which {_PAST[NodeState(need.state)]}."
    for need in needs:
        if need.state in DONE and not need.holds:
            return f"The condition '{need.name}' does not hold: {need.note}"
    return ""


def ending_of(nodes: Sequence[NodeRun]) -> tuple[PipelineRunState, str]:
    """How a run ends whose nodes, given in the graph's order, are all over; and why."""
    failed = [node for node in nodes if node.state == NodeState.FAILED]
    if failed:
        more = f" ({len(failed) - 1} more failed too)" if len(failed) > 1 else ""
        return PipelineRunState.FAILED, f"'{failed[0].name}' failed{more}: {failed[0].reason}"
    cancelled = [node for node in nodes if node.state == NodeState.CANCELLED]
    if cancelled:
        return PipelineRunState.FAILED, f"'{cancelled[0].name}' was cancelled: {cancelled[0].reason}"
    skipped = [f"'{node.name}'" for node in nodes if node.state == NodeState.SKIPPED]
    closed = [node for node in nodes if node.state in DONE and not node.holds]
    if skipped and closed:
        listed = ", ".join(skipped[:5]) + (f" and {len(skipped) - 5} more" if len(skipped) > 5 else "")
        return (
            PipelineRunState.SUCCEEDED,
            f"'{closed[0].name}' does not hold, so {listed} {'was' if len(skipped) == 1 else 'were'} skipped:"
            f" {closed[0].note}",
        )
    return PipelineRunState.SUCCEEDED, ""
