"""Searches without a tree, to compare with: one constant line, random configurations, a grid. Small on purpose.

Each names its own configurations, so that no advisor has a hand in them.
"""

from __future__ import annotations

import itertools
import random
from abc import abstractmethod
from collections.abc import Mapping

from engine.search.base import BudgetLeft, Expansion, Strategy, segment_length
from engine.search.lines import Lines, place
from engine.space import Intent, Scale, Space, Value
from engine.tree import Node, Tree


class Lanes(Strategy):
    """Configurations one after another, each trained from the base for `segments` segments and never changed.

    Args:
        segment_steps: GRPO steps of a segment. segments: segments of a lane; 0 is without end.
    """

    def __init__(self, segment_steps: int, segments: int) -> None:
        self._segment_steps = segment_steps
        self._segments = segments

    @abstractmethod
    def changes(self, number: int) -> Mapping[str, Value] | None:
        """What lane `number` (from 0) changes against the default; None when there are no more lanes."""

    def ask(self, tree: Tree, budget: BudgetLeft) -> Expansion | None:
        base, lines = place(tree.root), Lines(tree)
        steps = segment_length(self._segment_steps, budget.steps, first=not any(n.steps for n in tree))
        if not steps or base is None or tree.root.pruned:
            return None
        if lines.failures and (failed := lines.failures[0]).transition is not None:
            where, reason = failed.transition, f"#{failed.id} ended {failed.state}: once more"
            return Expansion(where.parent, where.step, Intent.REPAIR, steps, reason, failed=failed.id)
        ends = [self._end(lines, lane) for lane in lines.lanes]
        unfinished = [end for end in ends if end is not None and not end.state.in_flight]
        if unfinished:
            return self._keep(unfinished[0], steps, "unchanged to the end of the lane")
        changes = self.changes(lines.roots_begun)
        if changes is not None:
            reason = f"lane {lines.roots_begun + 1} from the base, as the baseline lays down"
            return Expansion(tree.root.id, base.step, Intent.ROOT, steps, reason, changes=changes)
        if lines.busy():
            return None
        return self._go_on(lines, steps)

    def _end(self, lines: Lines, lane: Node) -> Node | None:
        """The last node of a lane that has not its segments yet."""
        chain = lines.chain(lane)
        if (self._segments and len(chain) >= self._segments) or lines.keep_is_closed(chain[-1]):
            return None
        return chain[-1]

    def _go_on(self, lines: Lines, steps: int) -> Expansion | None:
        """Every lane is at its end and budget is left: the best goes on; a fresh default when none can."""
        ends = [lines.chain(lane)[-1] for lane in lines.lanes]
        ends = [n for n in ends if lines.grows(n) and not lines.keep_is_closed(n)]
        if ends:
            best = max(ends, key=lambda n: (n.last.score.value if n.last else 0.0, -n.id))
            return self._keep(best, steps, "all lanes are at their end, the best goes on")
        root = lines.tree.root
        return Expansion(
            root.id, root.checkpoints[0].step, Intent.ROOT, steps, "no lane can go on: the default again", changes={}
        )

    def _keep(self, node: Node, steps: int, reason: str) -> Expansion:
        end = place(node)
        assert end is not None  # only nodes that grow come here
        return Expansion(node.id, end.step, Intent.KEEP, steps, reason, changes={})


class Fixed(Lanes):
    """The default configuration, one line to the end of the budget."""

    def __init__(self, segment_steps: int) -> None:
        super().__init__(segment_steps, segments=0)

    def changes(self, number: int) -> Mapping[str, Value] | None:
        return {} if number == 0 else None


class RandomSearch(Lanes):
    """Configurations drawn from the space, each scale uniformly."""

    def __init__(self, segment_steps: int, space: Space, seed: int, segments: int = 4) -> None:
        super().__init__(segment_steps, segments)
        self._space = space
        self._seed = seed

    def changes(self, number: int) -> Mapping[str, Value] | None:
        drawn = self._space.sample(random.Random(f"random search/{self._seed}/{number}"))
        return self._space.changes(self._space.default(), drawn)


class GridSearch(Lanes):
    """The corners and the middle of the `searched` parameters, the others at their default; the middle first."""

    def __init__(
        self,
        segment_steps: int,
        space: Space,
        segments: int = 4,
        searched: tuple[str, ...] = ("learning_rate", "beta", "temperature"),
    ) -> None:
        super().__init__(segment_steps, segments)
        axes = [self._axis(space, name) for name in searched if name in space]
        points = [{**space.default(), **dict(point)} for point in itertools.product(*axes)]
        self._points = [space.changes(space.default(), point) for point in points]

    def changes(self, number: int) -> Mapping[str, Value] | None:
        return self._points[number] if number < len(self._points) else None

    def _axis(self, space: Space, name: str) -> list[tuple[str, Value]]:
        """The default, a third of the range below it and a third above, as far as they differ."""
        parameter = space[name]
        if parameter.scale is Scale.LOG:
            by = (parameter.high / parameter.low) ** (1 / 3)
            moves = [1 / by, by]
        elif parameter.scale is Scale.LINEAR:
            moves = [-(parameter.high - parameter.low) / 3, (parameter.high - parameter.low) / 3]
        else:
            moves = [-1.0, 1.0]
        values = [parameter.default, *(space.move(space.default(), name, by) for by in moves)]
        return [(name, value) for value in dict.fromkeys(values)]
