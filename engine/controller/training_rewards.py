"""The mean training reward at the end of each segment, as the tree holds it for strategies that steer by it.

Kept by RunState step by step; a resume computes the same from the stored metrics.
"""

from __future__ import annotations

from collections import deque
from statistics import fmean

from engine.domain.tree import REWARD_STEPS, Tree
from engine.store.writer import Writer

LAST = """
SELECT node_id, list(value ORDER BY step) AS rewards FROM (
    SELECT node_id, step, value, row_number() OVER (PARTITION BY node_id ORDER BY step DESC) AS place
    FROM metrics WHERE name = 'reward'
) WHERE place <= ? GROUP BY node_id
"""


class TrainingRewards:
    """The last rewards of every segment of one run."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._last: dict[int, deque[float]] = {}

    def load(self, writer: Writer) -> None:
        """What an earlier engine wrote down."""
        for row in writer.rows(LAST, (REWARD_STEPS,)):
            for reward in row["rewards"]:
                self.add(row["node_id"], reward)

    def add(self, node_id: int, reward: float) -> None:
        """The reward of one more step of a segment."""
        last = self._last.setdefault(node_id, deque(maxlen=REWARD_STEPS))
        last.append(reward)
        self._tree.set_reward(node_id, fmean(last))
