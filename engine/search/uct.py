"""Upper confidence bounds over checkpoints: where a change is worth trying next.

Every checkpoint that still has its files is an arm, "expand here"; the way down from a root run weighs the
arms of a node against its children. In-flight segments count as visits without a value (WU-UCT), so several workers
spread.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from engine.domain.subtrees import POINTS
from engine.domain.tree import Node, NodeState
from engine.search.lineage import Lineage


@dataclass(frozen=True, slots=True)
class BranchArm:
    """A place to branch from: its bound, its normalised value, and how many segments began there."""

    node: int
    step: int
    bound: float
    value: float
    begun: int


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
        self._below = lineage.tree.subtrees
        values = self._below.values or [0.0]
        self._low, self._width = values[0], (values[-1] - values[0]) or 1.0
        self._open: set[int] = set()
        self._closed: set[int] = set()

    def best(self) -> BranchArm | None:
        """The arm at the end of the way down; None when no arm is open."""
        open_lanes = [n for n in self._root_runs if self._opens(n)]
        if not open_lanes:
            return None
        visits = sum(self._tree.visits(n.id) for n in open_lanes)
        here = max(open_lanes, key=lambda n: (self._bound_of(n, visits), -n.id))
        while True:
            visits = self._tree.visits(here.id)
            arm = max(self.arms(here), key=lambda a: (a.bound, a.step), default=None)
            children = [c for c in self._tree.children(here.id) if self._opens(c)]
            child = max(children, key=lambda c: (self._bound_of(c, visits), -c.id), default=None)
            if child is None or (arm is not None and arm.bound >= self._bound_of(child, visits)):
                return arm
            here = child

    def arms(self, node: Node) -> list[BranchArm]:
        """The open arms of a node, in order of step; none when it has all the children it may have."""
        if not self._has_arms(node.id):
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
        good = islice(self._from_the_best(), most + 1)
        elsewhere = [a for node in good if node.id != arm.node for a in self.arms(node)]
        elsewhere.sort(key=lambda a: (-a.value, a.node, -a.step))
        ranked = [(a.node, a.step) for a in (*same, *elsewhere)]
        return tuple(p for p in ranked if p != (arm.node, arm.step))[:most]

    def _from_the_best(self) -> Iterator[Node]:
        """The nodes with open arms from the highest value down, the earlier ones first among equals.

        Whole subtrees wait under their highest value and their first node, until nothing else can be better.
        """
        below = self._below
        waiting = [(-below.highest[n.id], n.id, False) for n in self._root_runs]
        heapq.heapify(waiting)
        while waiting:
            _, node_id, alone = heapq.heappop(waiting)
            if alone:
                yield self._tree[node_id]
                continue
            if self._has_arms(node_id):
                heapq.heappush(waiting, (-max(below.shares[node_id].values), node_id, True))
            for child in below.children[node_id]:
                if below.places[child]:
                    heapq.heappush(waiting, (-below.highest[child], child, False))

    def _opens(self, node: Node) -> bool:
        """Whether an arm is open at a node or below it."""
        below, waiting, closed = self._below, [node.id], list[int]()
        while waiting:
            here = waiting.pop()
            if here in self._closed or not below.places[here]:
                continue
            if here in self._open or self._has_arms(here):
                self._mark_open(here)
                return True
            closed.append(here)
            waiting += below.children[here]
        self._closed.update(closed)
        return False

    def _mark_open(self, node_id: int) -> None:
        """An arm is open below all nodes on the path."""
        current: int | None = node_id
        while current is not None and current not in self._open:
            self._open.add(current)
            current = self._below.parents[current]

    def _has_arms(self, node_id: int) -> bool:
        """Whether one may branch from the node and it has not all the children that it may have."""
        if not self._below.shares[node_id].places:
            return False
        if len(self._below.children[node_id]) < self._most:
            return True
        return sum(c.state is not NodeState.REJECTED for c in self._tree.children(node_id)) < self._most

    def _bound_of(self, node: Node, visits: int) -> float:
        return self._value(node.id) + self._bonus(visits, self._tree.visits(node.id))

    def _value(self, node_id: int) -> float:
        """Steering value of a subtree: half the mean, half the best descendant; 0 where nothing is scored."""
        scored = self._below.scored[node_id]
        if not scored:
            return 0.0
        mean = self._below.points[node_id] / (scored * POINTS)
        return 0.5 * self._norm(mean) + 0.5 * self._norm(self._below.highest[node_id])

    def _bonus(self, visits: int, own: int) -> float:
        return self._exploration * math.sqrt(math.log(max(visits, 1) + 1) / max(own, 1))

    def _norm(self, value: float) -> float:
        return (value - self._low) / self._width
