"""Upper confidence bounds over checkpoints: where a change is worth trying next.

Every checkpoint that still has its files is an arm, "expand here"; the way down from a root run weighs the
arms of a node against its children. In-flight segments count as visits without a value (WU-UCT), so several workers
spread.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.domain.tree import Node, NodeState
from engine.search.lineage import Lineage

BRANCHABLE = (NodeState.FINISHED, NodeState.STOPPED, NodeState.EARLY_STOPPED)
"""States of a node whose checkpoints are arms."""


@dataclass(frozen=True, slots=True)
class BranchArm:
    """A place to branch from: its bound, its normalised value, and how many segments began there."""

    node: int
    step: int
    bound: float
    value: float
    begun: int


@dataclass(slots=True)
class _SubtreeSums:
    """Sums over a subtree: normalised values of scored segments, and whether an open arm is in it.

    `own` is the best value of the node itself, −1 when it cannot be branched from.
    """

    total: float = 0.0
    scored: int = 0
    best: float = 0.0
    own: float = -1.0
    open: bool = False

    @property
    def value(self) -> float:
        """Steering value: half the mean, half the best descendant."""
        return 0.5 * self.total / self.scored + 0.5 * self.best if self.scored else 0.0


class UCTBounds:
    """The bounds of one question.

    Args:
        root_runs: first segments whose subtrees may be branched in.
        exploration: C of the bound, for values normalised to 0..1.
        most_children: segments that may begin from one node.
    """

    def __init__(self, lineage: Lineage, root_runs: Sequence[Node], exploration: float, most_children: int) -> None:
        self._tree = lineage.tree
        self._root_runs = root_runs
        self._exploration = exploration
        self._most = most_children
        values = [c.score.value for n in self._tree for c in n.measured]
        self._low = min(values, default=0.0)
        self._width = (max(values, default=0.0) - self._low) or 1.0
        self._below: dict[int, _SubtreeSums] = {}
        for root_run in root_runs:
            for node in reversed(self._tree.subtree(root_run.id)):
                self._below[node.id] = self._sum(node)

    def best(self) -> BranchArm | None:
        """The arm at the end of the way down; None when no arm is open."""
        open_lanes = [n for n in self._root_runs if self._below[n.id].open]
        if not open_lanes:
            return None
        visits = sum(self._tree.visits(n.id) for n in open_lanes)
        here = max(open_lanes, key=lambda n: (self._bound_of(n, visits), -n.id))
        while True:
            visits = self._tree.visits(here.id)
            arm = max(self.arms(here), key=lambda a: (a.bound, a.step), default=None)
            children = [c for c in self._tree.children(here.id) if self._below[c.id].open]
            child = max(children, key=lambda c: (self._bound_of(c, visits), -c.id), default=None)
            if child is None or (arm is not None and arm.bound >= self._bound_of(child, visits)):
                return arm
            here = child

    def arms(self, node: Node) -> list[BranchArm]:
        """The open arms of a node, in order of step; none when it has all the children it may have."""
        if not self._expandable(node):
            return []
        visits = self._tree.visits(node.id)
        children = [c for c in self._tree.children(node.id) if c.transition and c.state is not NodeState.REJECTED]
        arms = []
        for checkpoint in node.checkpoints:
            if checkpoint.kept:
                steps = [(c.transition.step, c.id) for c in children if c.transition]
                begun = sum(step == checkpoint.step for step, _ in steps)
                # What the branch did after a checkpoint is knowledge about it: without counting that, the further the
                # branch has gone, the more tempting its first checkpoints would look.
                passed = sum(self._tree.visits(child) for step, child in steps if step >= checkpoint.step)
                value = self._norm(node.value(checkpoint))
                arms.append(BranchArm(node.id, checkpoint.step, value + self._bonus(visits, 1 + passed), value, begun))
        return arms

    def others(self, arm: BranchArm, most: int = 4) -> tuple[tuple[int, int], ...]:
        """Places nearly as good: other checkpoints of the same node first, then the best values elsewhere."""
        same = sorted(self.arms(self._tree[arm.node]), key=lambda a: -a.step)
        good = heapq.nlargest(most + 1, self._below, key=lambda i: (self._below[i].own, -i))
        elsewhere = [a for node_id in good if node_id != arm.node for a in self.arms(self._tree[node_id])]
        elsewhere.sort(key=lambda a: (-a.value, a.node, -a.step))
        ranked = [(a.node, a.step) for a in (*same, *elsewhere)]
        return tuple(p for p in ranked if p != (arm.node, arm.step))[:most]

    def _expandable(self, node: Node) -> bool:
        if node.pruned or node.state not in BRANCHABLE:
            return False
        children = self._tree.children(node.id)
        return len(children) < self._most or sum(c.state is not NodeState.REJECTED for c in children) < self._most

    def _sum(self, node: Node) -> _SubtreeSums:
        sums = _SubtreeSums(open=self._expandable(node) and any(c.kept for c in node.checkpoints))
        if node.checkpoints:
            values = [self._norm(c.score.value) for c in node.measured]
            sums.total, sums.scored, sums.best = values[-1], 1, max(values)
            sums.own = sums.best if sums.open else -1.0
        for child in self._tree.children(node.id):
            below = self._below[child.id]
            sums.total += below.total
            sums.scored += below.scored
            sums.best = max(sums.best, below.best)
            sums.open = sums.open or below.open
        return sums

    def _bound_of(self, node: Node, visits: int) -> float:
        return self._below[node.id].value + self._bonus(visits, self._tree.visits(node.id))

    def _bonus(self, visits: int, own: int) -> float:
        return self._exploration * math.sqrt(math.log(max(visits, 1) + 1) / max(own, 1))

    def _norm(self, value: float) -> float:
        return (value - self._low) / self._width
