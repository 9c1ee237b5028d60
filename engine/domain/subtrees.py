"""The shape of a search tree and what is known of each subtree, backed up on every change (as in Monte Carlo tree
search), so that a question to the search looks only where it must.

Sums are whole numbers and the rest is found anew from the children, so that nothing is left of what was taken away, and
a tree rebuilt from the database has the same to the last bit. Written by `engine.domain.tree.Tree`, read by the search.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from copy import copy
from typing import Final, NamedTuple

POINTS = 2**64
"""Points of a steering value of 1: values are added up as whole numbers of points."""
UNSCORED = float("-inf")
"""The highest value where nothing is scored."""

SUMMED: Final = 6
"""So many of the first attributes of a `Share` are added up over a subtree."""


class Share(NamedTuple):
    """What one node adds to the subtrees that it is in.

    Attributes:
        visits: 1 unless rejected. planned: GRPO steps it was given, unless rejected.
        claimed: GRPO steps of the budget that it takes: planned while in flight, then trained.
        scored: 1 with a score. points: its last measured steering value, in 1/POINTS.
        places: 1 where a segment may branch from one of its checkpoints.
        values: the steering values of its measured checkpoints.
        lives: in flight, or to be gone on from at its own end. passes: lives where a child does.
    """

    visits: int = 0
    planned: int = 0
    claimed: int = 0
    scored: int = 0
    points: int = 0
    places: int = 0
    values: tuple[float, ...] = ()
    lives: bool = False
    passes: bool = False


NOTHING = Share()


class Subtrees:
    """By node id; read them, and change them by the methods alone.

    Attributes:
        parents, children: the shape; children in the order in which they were added. depths: 0 for the root.
        root_runs: the child of the root that a node lies below, or is; the root for itself.
        shares: of the node itself.
        visits, planned, claimed, scored, points, places: sums over the subtree, see `Share`.
        highest: steering value in the subtree, UNSCORED without one.
        living: ids of the nodes that are in flight, or to be gone on from at their own end or somewhere below.
        values: steering values of all measured checkpoints, ascending.
    """

    def __init__(self, root: int) -> None:
        self.parents: dict[int, int | None] = {}
        self.children: dict[int, tuple[int, ...]] = {}
        self.depths: dict[int, int] = {}
        self.root_runs: dict[int, int] = {}
        self.visits: dict[int, int] = {}
        self.planned: dict[int, int] = {}
        self.claimed: dict[int, int] = {}
        self.scored: dict[int, int] = {}
        self.points: dict[int, int] = {}
        self.places: dict[int, int] = {}
        self.highest: dict[int, float] = {}
        self.living: set[int] = set()
        self.values: list[float] = []
        self.shares: dict[int, Share] = {}
        self._begin(root, None, 0, root)

    def copy(self) -> Subtrees:
        """An independent copy."""
        again = copy(self)
        vars(again).update({name: held.copy() for name, held in vars(self).items()})
        return again

    def add(self, node_id: int, parent: int) -> None:
        """A leaf without a share yet."""
        depth = self.depths[parent] + 1
        self._begin(node_id, parent, depth, node_id if depth == 1 else self.root_runs[parent])
        self.children[parent] += (node_id,)

    def remove(self, leaf: int) -> None:
        """Forget a node without children that is not the root."""
        self.put(leaf, NOTHING)
        parent = self.parents[leaf]
        assert parent is not None
        self.children[parent] = tuple(child for child in self.children[parent] if child != leaf)
        for held in vars(self).values():
            if isinstance(held, dict):
                del held[leaf]

    def put(self, node_id: int, share: Share) -> None:
        """Back up the share of a node in place of the one that it had."""
        before = self.shares[node_id]
        if share == before:
            return
        self.shares[node_id] = share
        self._add(node_id, before, share)
        if share.values != before.values:
            for value in before.values:
                del self.values[bisect_left(self.values, value)]
            for value in share.values:
                insort(self.values, value)
            self._renew_highest(node_id)
        self._renew_living(node_id)

    def fill(self, shares: Mapping[int, Share]) -> None:
        """Back up the shares of all nodes at once, from the leaves to the root, in place of all that was backed up."""
        self.shares, self.living = dict(shares), set()
        for sums in self._sums():
            sums.update(dict.fromkeys(sums, 0))
        self.values = sorted(value for share in shares.values() for value in share.values)
        for node_id in reversed(self.parents):  # children were added after their parents
            parent, share = self.parents[node_id], self.shares[node_id]
            for sums, own in zip(self._sums(), share[:SUMMED], strict=True):
                sums[node_id] += own
                if parent is not None:
                    sums[parent] += sums[node_id]
            self.highest[node_id] = self._highest(node_id)
            if self._lives(node_id):
                self.living.add(node_id)

    def _begin(self, node_id: int, parent: int | None, depth: int, root_run: int) -> None:
        self.parents[node_id], self.children[node_id] = parent, ()
        self.depths[node_id], self.root_runs[node_id] = depth, root_run
        for sums in self._sums():
            sums[node_id] = 0
        self.highest[node_id], self.shares[node_id] = UNSCORED, NOTHING

    def _sums(self) -> tuple[dict[int, int], ...]:
        """In the order of `Share`."""
        return self.visits, self.planned, self.claimed, self.scored, self.points, self.places

    def _add(self, node_id: int, before: Share, share: Share) -> None:
        """Add the difference to every subtree that the node is in."""
        changes = [
            (sums, new - old)
            for sums, old, new in zip(self._sums(), before[:SUMMED], share[:SUMMED], strict=True)
            if new != old
        ]
        current: int | None = node_id if changes else None
        while current is not None:
            for sums, by in changes:
                sums[current] += by
            current = self.parents[current]

    def _renew_highest(self, node_id: int) -> None:
        """Upwards as long as it becomes another. All children are looked at only where the highest value fell."""
        before, highest = self.highest[node_id], self._highest(node_id)
        while highest != before:
            self.highest[node_id] = highest
            parent = self.parents[node_id]
            if parent is None:
                return
            was, node_id, before = before, parent, self.highest[parent]
            highest = max(before, highest) if was < before else self._highest(parent)

    def _highest(self, node_id: int) -> float:
        below = map(self.highest.__getitem__, self.children[node_id])
        return max((*self.shares[node_id].values, *below), default=UNSCORED)

    def _renew_living(self, node_id: int) -> None:
        """Upwards as long as it becomes another."""
        current: int | None = node_id
        while current is not None:
            lives = self._lives(current)
            if lives == (current in self.living):
                return
            (self.living.add if lives else self.living.discard)(current)
            current = self.parents[current]

    def _lives(self, node_id: int) -> bool:
        share = self.shares[node_id]
        return share.lives or (share.passes and not self.living.isdisjoint(self.children[node_id]))
