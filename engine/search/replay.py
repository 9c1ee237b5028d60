"""A recorded schedule trained again: `replay`, what `llmzero replay` runs on seeds that the search never saw.

Stage after stage in one branch, each from the last step of the one before, with its own number of steps, its own
configuration, and Adam and KL reference as they were. A failed stage is repaired as in every run.
"""

from __future__ import annotations

from engine.domain.space import Intent, KLReference, OptimizerState, Space
from engine.domain.tree import Node, Tree
from engine.run.strategies import ReplaySettings, ScheduleStage
from engine.search.base import BudgetLeft, Expansion
from engine.search.lineage import Lineage, place
from engine.search.peer import Peer

MOST_CHILDREN = 3


class Replay(Peer):
    """See the module."""

    def __init__(self, segment_steps: int, space: Space, settings: ReplaySettings) -> None:
        super().__init__(segment_steps)
        self._space = space
        self._stages = settings.stages

    def ask(self, tree: Tree, budget: BudgetLeft) -> Expansion | None:
        """The next stage, however short it is; what every peer does once the schedule is at its end."""
        lineage = Lineage(tree)
        if not lineage.failures and (due := self._due(lineage, budget)) is not None:
            return due
        return super().ask(tree, budget)

    def next(self, here: object) -> Expansion | None:
        """No wish of its own: see `ask`."""
        return None

    def _due(self, lineage: Lineage, budget: BudgetLeft) -> Expansion | None:
        tip, number = self._tip(lineage)
        end = place(tip)
        if number >= len(self._stages) or end is None or tip.state.in_flight or tip.pruned or budget.steps < 1:
            return None
        return self._expansion(lineage, tip, end.step, number, min(self._stages[number].steps, budget.steps))

    def _expansion(self, lineage: Lineage, tip: Node, step: int, number: int, steps: int) -> Expansion | None:
        stage = self._stages[number]
        changes = self._space.changes(tip.configuration, {**tip.configuration, **stage.configuration})
        intent = self._intent(lineage, tip, stage, changed=bool(changes))
        if intent is None:
            return None
        reason = f"stage {number + 1} of {len(self._stages)} of the schedule" + (
            f": {stage.rationale}" if stage.rationale else ""
        )
        return Expansion(
            tip.id, step, intent, steps, reason, changes=changes,
            optimizer=OptimizerState(stage.optimizer), reference=KLReference(stage.reference),
        )  # fmt: skip

    def _intent(self, lineage: Lineage, tip: Node, stage: ScheduleStage, *, changed: bool) -> Intent | None:
        """None where the place is closed to it."""
        if tip.id == lineage.tree.root.id:
            return Intent.ROOT
        begun = [c for c in lineage.tree.children(tip.id) if c.transition is not None]
        if len(begun) >= MOST_CHILDREN or not lineage.grows(tip):
            return None
        kept = OptimizerState(stage.optimizer) is OptimizerState.KEEP
        same = not changed and kept and not lineage.tree.moves_reference(tip.id, KLReference(stage.reference))
        if same and lineage.continuation_closed(tip):
            return None
        return Intent.KEEP if same else Intent.CHANGE

    def _tip(self, lineage: Lineage) -> tuple[Node, int]:
        """The end of the branch, and how many stages led to it."""
        tip, number = lineage.tree.root, 0
        while children := [c for c in lineage.tree.children(tip.id) if lineage.lives(c)]:
            tip, number = max(children, key=lambda c: c.id), number + 1
        return tip, number
