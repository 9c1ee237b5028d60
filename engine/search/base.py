"""Search strategies: which node to expand next, and why. A question over a tree that holds all of the state.

The controller asks when a worker is, or is about to be, free. A strategy keeps settings only: given the same tree and
the same budget it gives the same answer, so a killed run goes on after a resume.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from engine.domain.space import Configuration, Intent, KLReference, OptimizerState
from engine.domain.tree import Tree

LEAST_SHARE, LEAST_STEPS = 1 / 4, 8
"""A segment is not begun for less than this share of `segment_steps`, nor for fewer than so many steps: fewer make no
curve that can be judged. Of segments shorter than twice that, half of one is enough."""


def shortest_segment(segment_steps: int) -> int:
    """GRPO steps for which a segment is worth its start and its evaluation."""
    return max(math.ceil(LEAST_SHARE * segment_steps), min(LEAST_STEPS, math.ceil(segment_steps / 2)))


def segment_length(segment_steps: int, available: int, *, first: bool = False) -> int:
    """GRPO steps of the next segment when so many may be spent on it; 0 when it is not worth beginning.

    A remainder that would make no segment of its own is added. `first`: nothing was trained yet, and a budget of a few
    steps is spent all the same.
    """
    least = shortest_segment(segment_steps)
    if available < least:
        return max(0, available) if first else 0
    return available if available - segment_steps < least else segment_steps


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """What may still be spent, in-flight segments already taken off.

    Attributes:
        steps: GRPO steps left over the whole tree; for a budget in time, the estimate at the measured seconds a step.
        fraction_spent: 0..1 of whichever limit is nearest.
        segment_steps: what one worker can still train in the time left; a longer segment is cut to it.
        workers: segments that can be trained at the same time.
    """

    steps: int
    fraction_spent: float
    segment_steps: int = 10**9
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Expansion:
    """The node to expand and what kind of child is wanted.

    Attributes:
        parent, step: node id and the step of its checkpoint to branch from (0 for the root).
        intent: see `engine.domain.space.Intent`; CHANGE lets the advisor choose what to change.
        steps: GRPO steps of the child.
        reason: one line with the numbers that decided; shown to the human and logged.
        candidates: other (node, step) pairs the search finds nearly as good, best first: an advisor may choose among
            them.
        failed: for REPAIR, the node whose place is tried once more.
        changes: when not None the strategy itself says what changes (baselines): no advisor is asked, and the
            rationale is `reason`.
        optimizer, reference: what the strategy says of them, where it says what changes.
    """

    parent: int
    step: int
    intent: Intent
    steps: int
    reason: str
    candidates: tuple[tuple[int, int], ...] = ()
    failed: int | None = None
    changes: Configuration | None = None
    optimizer: OptimizerState = OptimizerState.KEEP
    reference: KLReference = KLReference.KEEP


class SearchStrategy(ABC):
    """A search strategy: one question, `ask`.

    There is no `tell`: the tree is the whole state. What a strategy could be told (scores, failures, what a human did,
    files that are gone) is in the tree, which a resume rebuilds from the database; a strategy that remembered anything
    else would go on differently after one.

    Conformance (`engine.testing.strategies`): deterministic; never expands a pruned, failed-below-repair or fileless
    place; never asks for more steps than are left, nor for a segment too short to be worth it (`segment_length`); with
    steps for a segment left and nothing in flight it always finds an expansion.
    """

    @abstractmethod
    def ask(self, tree: Tree, budget: BudgetLeft) -> Expansion | None:
        """The next expansion; None when it is right to wait for what is in flight, or when the budget is spent."""
