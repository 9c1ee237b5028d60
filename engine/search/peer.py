"""What the peers of the search have in common: the budget, repairs, and where to go when an idea has no wish left.

Every peer is one short file that says what comes next (`Peer.next`); checkpoint selection, reranking and the soup at
the end are the run's and the same for all. Peers name their changes themselves, so that no advisor has a hand in them.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.domain.space import Configuration, Intent, Space, Value
from engine.domain.tree import Node, NodeState, Tree
from engine.search.base import BudgetLeft, Expansion, SearchStrategy, segment_length
from engine.search.lineage import Lineage, place


@dataclass(frozen=True)
class SearchSituation:
    """The tree and the budget at one question.

    Attributes:
        base_step: step of the base's checkpoint. steps: GRPO steps of an ordinary segment.
    """

    lineage: Lineage
    budget: BudgetLeft
    base_step: int
    steps: int

    @property
    def tree(self) -> Tree:
        return self.lineage.tree

    @cached_property
    def total(self) -> int:
        """GRPO steps of the whole budget: what is left and what was begun."""
        return self.budget.steps + self.tree.subtrees.claimed[self.tree.root.id]

    @cached_property
    def starts(self) -> list[Node | None]:
        """The first segments from the base in order of their beginning; a repair stands in the place of what it
        repairs, None where nothing lives any more."""
        starts: list[Node | None] = []
        failed: list[int] = []
        for node in self.tree.children(self.tree.root.id):
            if node.transition is None:
                continue
            alive = node if self.lineage.lives(node) else None
            if node.transition.intent is Intent.REPAIR and failed:  # also where the human wants no repair
                starts[failed.pop(0)] = alive
                continue
            if node.state is NodeState.REJECTED:
                continue
            if node.state.failed:
                failed.append(len(starts))
            starts.append(alive)
        return starts

    def root(self, reason: str, changes: Configuration | None, steps: int | None = None) -> Expansion:
        """A segment from the base; `changes` None leaves the configuration to the advisor."""
        return Expansion(self.tree.root.id, self.base_step, Intent.ROOT, steps or self.steps, reason, changes=changes)

    def keep(self, node: Node, reason: str, steps: int | None = None) -> Expansion | None:
        """The end of a node trained on with the same settings; None where that is closed."""
        end = place(node)
        if end is None or not self.open(node):
            return None
        return Expansion(node.id, end.step, Intent.KEEP, steps or self.steps, reason, changes={})

    def open(self, node: Node) -> bool:
        """Whether training on from the end of a node with the same settings can be asked for."""
        return (
            self.lineage.grows(node)
            and self.lineage.continued_by(node) is None
            and not self.lineage.continuation_closed(node)
        )

    def leaves(self) -> list[Node]:
        """Ends that may be trained on with the same settings, in order."""
        root = self.tree.root.id
        return sorted((n for n in self.tree if n.id != root and self.open(n)), key=lambda n: n.id)


class Peer(SearchStrategy):
    """A search strategy to compare with.

    Args:
        segment_steps: GRPO steps of a segment.
    """

    def __init__(self, segment_steps: int) -> None:
        self._segment_steps = segment_steps

    @abstractmethod
    def next(self, here: SearchSituation) -> Expansion | None:
        """The next expansion by this peer's idea; None when it has no wish until something has come in."""

    def ask(self, tree: Tree, budget: BudgetLeft) -> Expansion | None:
        base, lineage = place(tree.root), Lineage(tree)
        steps = segment_length(self._segment_steps, budget.steps, first=not any(n.steps for n in tree))
        if not steps or base is None or tree.root.pruned:
            return None
        here = SearchSituation(lineage, budget, base.step, steps)
        if lineage.failures and (failed := lineage.failures[0]).transition is not None:
            where, steps = failed.transition, segment_length(failed.planned_steps, budget.steps) or steps
            reason = f"#{failed.id} failed ({failed.state}): retry from the same checkpoint with safer settings"
            return Expansion(where.parent, where.step, Intent.REPAIR, steps, reason, failed=failed.id)
        wish = self.next(here)
        return self._anything(here) if wish is None and not lineage.busy() else wish

    def _anything(self, here: SearchSituation) -> Expansion | None:
        """Budget is left and the idea has no wish: the best end is trained on; the default again when there is none."""
        best = max(here.leaves(), key=lambda n: (value(n), -n.id), default=None)
        if best is not None:
            return here.keep(best, "nothing else is planned: continue from the best end")
        return here.root("nothing can continue: a new root run with the default configuration", {})


def value(node: Node) -> float:
    """The steering value at the end of a node, −1 before it has one."""
    return node.last.score.value if node.last else -1.0


def late_value(continuation: Sequence[Node]) -> float:
    """The mean steering value of the last segment's checkpoints in a continuation, −1 before there are any."""
    values = [c.score.value for c in continuation[-1].measured] if continuation else []
    return sum(values) / len(values) if values else -1.0


def drawn(space: Space, name: str, seed: int, number: int) -> dict[str, Value]:
    """What first segment `number` changes against the default: the first nothing, the others are drawn."""
    if number == 0:
        return {}
    return space.changes(space.default(), space.sample(random.Random(f"{name}/{seed}/{number}")))
