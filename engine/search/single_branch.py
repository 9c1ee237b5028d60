"""Peers that follow one line from the base, without a tree: `adarft` and `skill`.

`adarft` is the default configuration whose difficulty is steered to a training reward of one half (arXiv 2504.05520).
`skill` is one agent with the log and a budget: after each segment the run's advisor (a language model, or the rules)
says what changes next, and that is followed; the paper's baseline (arXiv 2606.18388).
"""

from __future__ import annotations

from abc import abstractmethod

from engine.domain.space import Configuration, Intent, Space
from engine.domain.tree import Node, NodeState
from engine.run.strategies import AdaRFTSettings
from engine.search.base import Expansion
from engine.search.curriculum import Curriculum
from engine.search.lineage import place
from engine.search.peer import Peer, SearchSituation

MOST_CHILDREN = 3


class SingleBranch(Peer):
    """One branch from the base to the end of the budget, whatever it scores."""

    @abstractmethod
    def change(self, tip: Node) -> tuple[Configuration | None, str] | None:
        """What changes after `tip` and why; None trains on with the same settings, changes None asks the advisor."""

    def next(self, here: SearchSituation) -> Expansion | None:
        if not here.starts:
            return here.root("the default configuration", {})
        alive = [root_run for root_run in here.starts if root_run is not None]
        if not alive:
            return None
        tip = alive[0]
        while (child := self._child(here, tip)) is not None:
            tip = child
        end = place(tip)
        if tip.state.in_flight or end is None or not here.lineage.grows(tip):
            return None
        begun = sum(c.state is not NodeState.REJECTED for c in here.tree.children(tip.id))
        if begun < MOST_CHILDREN and (wish := self.change(tip)) is not None:
            changes, reason = wish
            return Expansion(tip.id, end.step, Intent.CHANGE, here.steps, reason, changes=changes)
        return here.keep(tip, "continue with the same settings")

    def _child(self, here: SearchSituation, node: Node) -> Node | None:
        """The living segment that goes on from a node; of several the latest."""
        children = [c for c in here.tree.children(node.id) if here.lineage.lives(c)]
        return max(children, key=lambda c: c.id, default=None)


class AdaRFT(SingleBranch):
    """See the module. A task without a difficulty of its own is trained with the default configuration throughout.

    The difficulty is steered both ways, as the method has it, also where the space lets our search only raise it.
    """

    def __init__(self, segment_steps: int, space: Space, settings: AdaRFTSettings) -> None:
        super().__init__(segment_steps)
        self._curriculum = Curriculum(space, settings.target, settings.rate, settings.sensitivity, falls=True)

    def change(self, tip: Node) -> tuple[Configuration | None, str] | None:
        return self._curriculum.next(tip)


class SkillOptimization(SingleBranch):
    """See the module."""

    def change(self, tip: Node) -> tuple[Configuration | None, str] | None:
        return None, f"after #{tip.id} the advisor decides what changes next, from the log and the budget"
