"""A short race of constant configurations; the winner is trained on and annealed late. No change, no tree.

The peer to beat: whatever a search over schedules gains must show against simply training a good constant for longer.
The first configuration is the default, the others are the advisor's first designs, as the search has them.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.space import Intent, Space
from engine.domain.tree import Node
from engine.run.strategies import ContinueSettings
from engine.search.base import Expansion, segment_length, shortest_segment
from engine.search.lineage import place
from engine.search.peer import Peer, SearchSituation, late_value

RATE = "learning_rate"
SHORT = 6
"""Budgets below so many segments have no annealed end."""


class ContinuedConstant(Peer):
    """See the module."""

    def __init__(self, segment_steps: int, space: Space, settings: ContinueSettings) -> None:
        super().__init__(segment_steps)
        self._space = space
        self._settings = settings

    def next(self, here: SearchSituation) -> Expansion | None:
        size, lineage = self._segment_steps, here.lineage
        constants = min(self._settings.constants, max(1, here.total // (2 * size)))
        length = max(1, round(self._settings.race_share * here.total / (constants * size)))
        begun = len(here.starts)
        if begun < constants:
            reason = f"constant {begun + 1} of {constants}: each trains for {length} segments"
            return here.root(reason, None if begun else {})
        continuations = [
            lineage.continuation(root_run)[:length] for root_run in here.starts[:constants] if root_run is not None
        ]
        short = [c for c in continuations if len(c) < length and here.open(c[-1])]
        if short:
            continuation = min(short, key=lambda c: (len(c), c[-1].id))
            return here.keep(
                continuation[-1], f"constant #{continuation[0].id} continues to the end of its {length} segments"
            )
        if any(c[-1].state.in_flight for c in continuations) or not continuations:
            return None
        return self._train_on(here, max(continuations, key=lambda c: (late_value(c), -c[0].id)))

    def _train_on(self, here: SearchSituation, winner: Sequence[Node]) -> Expansion | None:
        tip, left = here.lineage.continuation(winner[0])[-1], here.budget.steps
        size = self._segment_steps
        reserve = max(shortest_segment(size), round(self._settings.anneal_share * here.total))
        if here.total < SHORT * size or not self._settings.anneal_share:
            reserve = 0
        if tip.state.in_flight:
            return None
        steps = segment_length(size, left - reserve)
        if steps or not reserve:
            reason = f"constant #{winner[0].id} won with {late_value(winner):.3f} and continues"
            return here.keep(tip, reason, steps)
        return self._anneal(here, tip)

    def _anneal(self, here: SearchSituation, tip: Node) -> Expansion | None:
        lineage, end = here.lineage, place(tip)
        annealed = [c for c in here.tree.children(tip.id) if lineage.role(c) is Intent.ANNEAL]
        if annealed or end is None or not lineage.grows(tip):
            living = [lineage.continuation(c)[-1] for c in annealed if lineage.lives(c)]
            last = living[-1] if living else tip
            return None if last.state.in_flight else here.keep(last, "the rest of the annealing phase")
        changes = {}
        if RATE in self._space and not self._space[RATE].fixed:
            changes[RATE] = self._space.move(tip.configuration, RATE, self._settings.anneal_factor)
        reason = f"the last {here.budget.steps} of {here.total} steps with the learning rate lowered"
        return Expansion(tip.id, end.step, Intent.ANNEAL, here.budget.steps, reason, changes=changes)
