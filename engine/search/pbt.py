"""Population based training (arXiv 1711.09846): a few policies trained side by side.

After each segment the worst continue from the best ones' checkpoints under perturbed hyperparameters.
"""

from __future__ import annotations

import random

from engine.domain.space import Configuration, Intent, ParameterScale, Space, Value
from engine.domain.tree import Node, NodeState
from engine.run.strategies import PBTSettings
from engine.search.base import Expansion
from engine.search.lineage import place
from engine.search.peer import Peer, SearchSituation, drawn, value

MOST_CHILDREN = 3
"""Segments from one node: its own continuation and copies."""


class PBT(Peer):
    """See the module. Generations are synchronous: a rank is taken when all members have come in."""

    def __init__(self, segment_steps: int, space: Space, seed: int, settings: PBTSettings) -> None:
        super().__init__(segment_steps)
        self._space = space
        self._seed = seed
        self._settings = settings

    def next(self, here: SearchSituation) -> Expansion | None:
        size = self._settings.population
        if (begun := len(here.starts)) < size:
            return here.root(f"member {begun + 1} of {size}", drawn(self._space, "pbt", self._seed, begun))
        members: list[Node | None] = here.starts[:size]
        while not any(member is not None and member.state.in_flight for member in members):
            successors = self._generation(here, members)
            if successors is None:
                return None
            for wish in successors:
                if isinstance(wish, Expansion):
                    return wish
            members = [each for each in successors if not isinstance(each, Expansion)]
        return None

    def _generation(self, here: SearchSituation, members: list[Node | None]) -> list[Node | Expansion | None] | None:
        """What each member became, or the expansion it has to begin; None when nobody can go on."""
        alive = sorted((m for m in members if m is not None and here.lineage.lives(m)), key=lambda m: (-value(m), m.id))
        if not alive:
            return None
        few = max(1, round(self._settings.quantile * len(members)))
        tops, bottom = alive[:few], {m.id for m in alive[few:][-few:]}
        successors: list[Node | Expansion | None] = []
        copies = 0
        for slot, member in enumerate(members):
            if member is not None and member in alive and member.id not in bottom:
                successor = here.lineage.continued_by(member) or here.keep(member, f"member {slot + 1} continues")
                if successor is not None:
                    successors.append(successor)
                    continue
            successors.append(self._copy(here, tops[copies % len(tops)], copies // len(tops), slot))
            copies += 1
        return None if all(each is None for each in successors) else successors

    def _copy(self, here: SearchSituation, top: Node, number: int, slot: int) -> Node | Expansion | None:
        """The copy `number` of a good member, or the expansion that begins it; None when it has too many."""
        copies = sorted(here.lineage.changes(top), key=lambda n: n.id)
        if number < len(copies):
            return copies[number]
        begun = sum(c.state is not NodeState.REJECTED for c in here.tree.children(top.id))
        end = place(top)
        if begun >= MOST_CHILDREN or end is None:
            return None
        changes = self._perturbed(top.configuration, random.Random(f"pbt/{self._seed}/{top.id}/{begun}"))
        reason = f"member {slot + 1} is among the worst: it continues from #{top.id} ({value(top):.3f}), perturbed"
        return Expansion(top.id, end.step, Intent.CHANGE, here.steps, reason, changes=changes)

    def _perturbed(self, here: Configuration, rng: random.Random) -> dict[str, Value]:
        """Each free parameter moved up or down by the factor, or drawn anew; none falls that only rises."""
        factor, moved_to = self._settings.factor, dict(here)
        for p in self._space:
            if p.fixed:
                continue
            up, anew = rng.random() < 0.5, rng.random() < self._settings.resample
            if anew:
                moved = p.sample(rng)
            elif p.scale is ParameterScale.LOG:
                moved = p.moved(here[p.name], factor if up else 1 / factor)
            else:
                by = 1.0 if p.choices else (factor - 1) * (p.high - p.low)
                moved = p.moved(here[p.name], by if up else -by)
            if not p.falls(here[p.name], moved):
                moved_to[p.name] = moved
        return self._space.changes(here, moved_to)
