"""Searches without a tree, to compare with: one constant configuration, random ones, a grid. Small on purpose.

Each names its own configurations, so that no advisor has a hand in them.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping

from engine.domain.space import ParameterScale, Space, Value
from engine.domain.tree import Node
from engine.search.base import Expansion
from engine.search.peer import Peer, SearchSituation, drawn


class RootRuns(Peer):
    """Configurations one after another, each trained from the base for `segments` segments and never changed.

    Args:
        segment_steps: GRPO steps of a segment. segments: segments of a root run; 0 is without end.
    """

    def __init__(self, segment_steps: int, segments: int) -> None:
        super().__init__(segment_steps)
        self._segments = segments

    @abstractmethod
    def changes(self, number: int, here: SearchSituation) -> Mapping[str, Value] | None:
        """What root run `number` (from 0) changes against the default; None when there are no more root runs."""

    def next(self, here: SearchSituation) -> Expansion | None:
        if unfinished := self._unfinished(here):
            return here.keep(unfinished[0], "continue unchanged to the end of its segments")
        begun = len(here.starts)
        changes = self.changes(begun, here)
        if changes is None:
            return None
        return here.root(f"root run {begun + 1} from the base model, as the baseline prescribes", changes)

    def _unfinished(self, here: SearchSituation) -> list[Node]:
        """Ends of root runs that have not their segments yet and can be trained on."""
        ends = [self._end(here, root_run) for root_run in here.lineage.root_runs]
        return [end for end in ends if end is not None and not end.state.in_flight]

    def _end(self, here: SearchSituation, root_run: Node) -> Node | None:
        """The last node of a root run that has not its segments yet."""
        continuation = here.lineage.continuation(root_run)
        if (self._segments and len(continuation) >= self._segments) or here.lineage.continuation_closed(
            continuation[-1]
        ):
            return None
        return continuation[-1]


class FixedConfiguration(RootRuns):
    """The default configuration, one branch to the end of the budget."""

    def __init__(self, segment_steps: int) -> None:
        super().__init__(segment_steps, segments=0)

    def changes(self, number: int, here: SearchSituation) -> Mapping[str, Value] | None:
        return {} if number == 0 else None


class RandomSearch(RootRuns):
    """Configurations drawn from the space, each scale uniformly."""

    def __init__(self, segment_steps: int, space: Space, seed: int, segments: int = 4) -> None:
        super().__init__(segment_steps, segments)
        self._space = space
        self._seed = seed

    def changes(self, number: int, here: SearchSituation) -> Mapping[str, Value] | None:
        return drawn(self._space, "random search", self._seed, number)


class GridSearch(RootRuns):
    """Up to three values of each of `searched`, around its default, in all combinations, the default first; the others
    stay at their default."""

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

    def changes(self, number: int, here: SearchSituation) -> Mapping[str, Value] | None:
        return self._points[number] if number < len(self._points) else None

    def _axis(self, space: Space, name: str) -> list[tuple[str, Value]]:
        """The default, a third of the range below it and a third above, as far as they differ."""
        parameter = space[name]
        if parameter.scale is ParameterScale.LOG:
            by = (parameter.high / parameter.low) ** (1 / 3)
            moves = [1 / by, by]
        elif parameter.scale is ParameterScale.LINEAR:
            moves = [-(parameter.high - parameter.low) / 3, (parameter.high - parameter.low) / 3]
        else:
            moves = [-1.0, 1.0]
        values = [parameter.default, *(space.move(space.default(), name, by) for by in moves)]
        return [(name, value) for value in dict.fromkeys(values)]
