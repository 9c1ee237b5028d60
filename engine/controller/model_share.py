"""How much of a run a model decides: its share of first segments and changes, and whether it sees the rules' proposals.

Asked by the planner. Whose turn it is follows from the tree alone, so a run that is resumed goes on as it would have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.domain.space import Intent
from engine.domain.tree import NodeState, Tree

SHARED = (Intent.ROOT, Intent.CHANGE)
"""What there is to choose in; to continue, to anneal and to repair is not shared."""


@dataclass(frozen=True, slots=True)
class ModelShare:
    """The settings `advisor.share` and `advisor.shows_rules`."""

    share: float = 1.0
    shows_rules: bool = False

    def models_turn(self, tree: Tree, intent: Intent) -> bool:
        """Whether the next decision of this sort is the model's; turns are spread evenly, the rules' first."""
        if intent not in SHARED or self.share >= 1:
            return True
        taken = sum(
            node.transition is not None and node.transition.intent in SHARED and node.state is not NodeState.REJECTED
            for node in tree
        )
        return math.floor((taken + 1) * self.share + 1e-9) > math.floor(taken * self.share + 1e-9)

    def shows(self, intent: Intent) -> bool:
        """Whether the model sees what the rules would do."""
        return self.shows_rules and intent in SHARED
