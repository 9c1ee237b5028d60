"""Trees built by hand, segment by segment, for questions to a search strategy."""

from __future__ import annotations

import random

from engine.domain.score import Score
from engine.domain.space import Configuration, Intent, Space, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree

PROMPTS = 256
"""Validation prompts of a score."""


class TreeBuilder:
    """A tree under construction. Every segment has `segment_steps` GRPO steps and two scores, half-way and at its end.

    Args:
        base: the score of the base model, 0..1, as of every `value` below.
        configuration: of every node; the search itself does not look at it.
    """

    def __init__(self, base: float = 0.1, segment_steps: int = 50, configuration: Configuration | None = None) -> None:
        self.segment_steps = segment_steps
        self._configuration = dict(configuration or {})
        root = Node(0, None, self._configuration, NodeState.FINISHED, checkpoints=(Checkpoint(0, score(base)),))
        self.tree = Tree(root)

    def add(
        self, parent: int, intent: Intent, value: float, state: NodeState = NodeState.FINISHED, step: int | None = None
    ) -> int:
        """A segment from the parent's last checkpoint, or the one at `step`; returns its number."""
        node_id, above, size = len(self.tree), self.tree[parent], self.segment_steps
        at = step if step is not None else (above.checkpoints[-1].step if above.checkpoints else size)
        transition = Transition(parent, at, intent)
        self.tree.add(Node(node_id, transition, self._configuration, state, above.start_steps + at, 0, size))
        if state in (NodeState.FINISHED, NodeState.EARLY_STOPPED):
            self.tree.set_steps(node_id, size)
            for scored in (size // 2, size):
                self.tree.add_checkpoint(node_id, Checkpoint(scored, score(value)))
        return node_id

    def roots(self, *values: float) -> list[int]:
        """First segments from the base."""
        return [self.add(0, Intent.ROOT, value) for value in values]

    def continued(self, node_id: int, *values: float) -> list[int]:
        """Unchanged segments below a node, one after the other."""
        added = []
        for value in values:
            node_id = self.add(node_id, Intent.KEEP, value)
            added.append(node_id)
        return added

    @property
    def spent(self) -> int:
        """GRPO steps trained so far."""
        return sum(node.steps for node in self.tree)


def score(value: float) -> Score:
    """A score of `value` on PROMPTS prompts: as often right greedily as sampled."""
    return Score(PROMPTS, round(value * PROMPTS), round(value * PROMPTS))


def bushy(nodes: int, space: Space) -> Tree:
    """A tree of so many nodes, three segments from each and four from the base, with scores drawn at random."""
    rng = random.Random(0)
    root = Node(0, None, space.default(), NodeState.FINISHED, checkpoints=(Checkpoint(0, Score(64, 5, 5)),))
    tree = Tree(root)
    for node_id in range(1, nodes):
        parent = tree[(node_id - 2) // 3] if node_id > 4 else root
        intent = Intent.ROOT if parent.id == 0 else Intent.KEEP if node_id % 3 == 2 else Intent.CHANGE
        step = parent.checkpoints[-1].step
        start = parent.start_steps + step
        tree.add(Node(node_id, Transition(parent.id, step, intent), space.default(), NodeState.FINISHED, start, 50, 50))
        for at in (25, 50):
            tree.add_checkpoint(node_id, Checkpoint(at, Score(64, rng.randrange(64), rng.randrange(64))))
    return tree
