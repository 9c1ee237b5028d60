"""What a human takes away from a run: the selected node as text. Mixed into the run screen.

It reads the snapshot and hands text to the app; it writes nothing into the run.
"""

from __future__ import annotations

from llmzero_tui.data import RunSnapshot, Stage
from llmzero_tui.format import parameter, plain, score
from llmzero_tui.screens.base import Polled


class Taking(Polled):
    """The actions of a run screen that carry something out of it."""

    snapshot: RunSnapshot | None = None
    selected: int | None = None

    def action_copy(self) -> None:
        """The selected node: what it is, what it changed, why, and what came of it."""
        snapshot = self.snapshot
        stage = snapshot.detail.stage if snapshot is not None and snapshot.detail is not None else None
        if snapshot is None or stage is None or stage.node != self.selected:
            self.app.bell()  # it is not read yet
        else:
            self.app.copy(node_text(snapshot, stage), f"node {stage.node}")  # type: ignore[attr-defined]


def node_text(snapshot: RunSnapshot, stage: Stage) -> str:
    """A node as a colleague can read it in a message."""
    node = snapshot.nodes.get(stage.node)
    lines = [
        f"{snapshot.run.name} #{stage.node} {stage.label}, {stage.state}, {stage.trained} of {stage.planned} steps"
    ]
    if node is not None and node.parent is not None:
        lines.append(f"from #{node.parent} step {node.branch_step}, {stage.start} steps into the trajectory")
    if node is not None and node.best is not None:
        lines.append(f"validation {score(node.best.value, node.best.n)} (n={node.best.n}) at step {node.best.step}")
    if stage.reason:
        lines.append(stage.reason)
    stages = snapshot.detail.stages if snapshot.detail else ()
    before = stages[-2].configuration if len(stages) > 1 else {}
    for name, value in stage.changes.items():
        lines.append(f"  {name}: {parameter(before.get(name))} -> {parameter(value)}")
    for words in (stage.rationale, f"Expected: {stage.expected}" if stage.expected else ""):
        if words:
            lines += ["", words]
    return "\n".join(plain(line, 20_000, lines=True) for line in lines) + "\n"
