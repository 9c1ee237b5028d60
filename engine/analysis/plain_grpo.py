"""Plain GRPO as the yardstick of a run: the default configuration's own branch, where the tree holds it.

Read by everything that tells a result. It only reads; where the branch is shorter than the reported policy, it says so,
and `llmzero replay` trains the default for as many steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.analysis.rows import Rows, values
from engine.domain.score import Score, score_of

NODES = "SELECT node_id, parent_id, configuration, optimizer, reference FROM nodes ORDER BY node_id"
SCORES = """
SELECT c.node_id, c.step, n.start_steps + c.step AS total_steps, c.n, c.greedy, c.sampled, c.outcomes
FROM checkpoints c JOIN nodes n USING (node_id) ORDER BY c.seq
"""


@dataclass(frozen=True, slots=True)
class PlainGRPO:
    """The default configuration after `steps` GRPO steps, at checkpoint (node, step), with its validation score; of
    those at most as long as the reported policy, which has `policy_steps`, the longest."""

    node: int
    step: int
    steps: int
    policy_steps: int
    validation: Score

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "node": self.node, "step": self.step, "steps": self.steps, "policy_steps": self.policy_steps,
            "validation": self.validation.as_dict(),
        }  # fmt: skip


def read_plain(rows: Rows) -> PlainGRPO | None:
    """None where nothing is reported yet, or no segment trained the default configuration."""
    total = rows("SELECT max(total_steps) AS steps FROM best_trajectory")[0]["steps"]
    nodes = {row["node_id"]: row for row in rows(NODES)}
    if not total or 0 not in nodes:
        return None
    default = values(nodes[0]["configuration"])
    unchanged = {0}
    for node, row in nodes.items():  # parents have the lower numbers
        plain = row["parent_id"] == 0 or (row["optimizer"] == "keep" and row["reference"] != "branch point")
        if plain and row["parent_id"] in unchanged and values(row["configuration"]) == default:
            unchanged.add(node)
    scored = [row for row in rows(SCORES) if row["node_id"] in unchanged - {0} and row["total_steps"] <= total]
    longest = max(scored, key=lambda row: (row["total_steps"], row["node_id"]), default=None)
    score = score_of(longest) if longest else None
    if longest is None or score is None:
        return None
    return PlainGRPO(longest["node_id"], longest["step"], longest["total_steps"], total, score)
