"""Where a run or a node stands, in words for panels that have nothing else to show: what is awaited, or what failed.

Read by the run screen and its panels. Pure values; foreign text in it is made harmless by whoever draws it.
"""

from __future__ import annotations

from llmzero_tui.values.nodes import NodeRow
from llmzero_tui.values.snapshot import EventRow, RunSnapshot

CAUSES = 3
"""The latest errors of a run that failed, as many as are shown at once."""
FAILED = ("failed", "crashed")


def failure_of(snapshot: RunSnapshot) -> tuple[str, str, tuple[EventRow, ...]] | None:
    """State and reason of a run that failed, with its latest errors, newest first; None for every other run."""
    run = snapshot.run
    if run.state not in FAILED:
        return None
    reason = run.reason or "the engine ended without a message"
    errors = [e for e in reversed(snapshot.events) if e.level == "error" and e.message != run.reason]
    return run.state, reason, tuple(errors[:CAUSES])


def without_training(snapshot: RunSnapshot, node: NodeRow | None) -> str:
    """Why there are no metrics and samples of a node."""
    if node is None:
        return "reading …"
    if node.parent is None:
        return "this is the base model: training starts from it"
    if node.state == "proposed":
        proposal = snapshot.proposal(node.id)
        waits = proposal is not None and proposal.waits
        return "not started: waits for your answer" if waits else "not started: starts when a worker is free"
    if node.state == "queued":
        return "not started: waits for a worker"
    if node.state == "running":
        return f"before the first step: {snapshot.run.doing(node.id) or 'starting'}"
    if node.state == "interrupted":
        return "its engine ended before the first step: resume continues it"
    return "it ended before its first step"
