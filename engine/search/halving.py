"""Many constant configurations begin, the best go on: by rungs as they come (ASHA, arXiv 1810.05934), in brackets
(Hyperband, arXiv 1603.06560), once (top-k). The resource is segments of one configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.domain.space import Space
from engine.domain.tree import Node
from engine.run.strategies import ASHASettings, HyperbandSettings, TopKSettings
from engine.search.base import Expansion
from engine.search.peer import Peer, SearchSituation, drawn, value


class ASHA(Peer):
    """A configuration goes to the next rung as soon as it is in the best 1/eta of those that reached its rung; else a
    new one begins."""

    def __init__(self, segment_steps: int, space: Space, seed: int, settings: ASHASettings) -> None:
        super().__init__(segment_steps)
        self._space = space
        self._seed = seed
        self._settings = settings

    def next(self, here: SearchSituation) -> Expansion | None:
        continuations = [here.lineage.continuation(root_run) for root_run in here.starts if root_run is not None]
        rungs = self._rungs(here)
        for continuation in continuations:
            if len(continuation) not in rungs and len(continuation) < rungs[-1] and here.open(continuation[-1]):
                return here.keep(continuation[-1], f"#{continuation[0].id} continues to the end of its rung")
        for rung in reversed(rungs[:-1]):
            reached = [c for c in continuations if len(here.lineage.ended(c[:rung])) == rung]
            reached.sort(key=lambda c: (-_value_at(c, rung), c[0].id))
            for continuation in reached[: len(reached) // self._settings.eta]:
                if len(continuation) == rung and here.open(continuation[-1]):
                    best = f"the best 1/{self._settings.eta} of {len(reached)}"
                    why = f"#{continuation[0].id} is in {best} after {rung} segments"
                    return here.keep(continuation[-1], why)
        begun = len(here.starts)
        return here.root(
            f"configuration {begun + 1} starts at the lowest rung", drawn(self._space, "asha", self._seed, begun)
        )

    def _rungs(self, here: SearchSituation) -> list[int]:
        """Segments at which a configuration is judged, up to what the budget could pay for one."""
        most, eta = max(1, here.total // self._segment_steps), self._settings.eta
        return [eta**k for k in range(int(math.log(most, eta) + 1e-9) + 1)]


class Hyperband(Peer):
    """Brackets of synchronous halving one after the other, from many short ones to few long ones, and again."""

    def __init__(self, segment_steps: int, space: Space, seed: int, settings: HyperbandSettings) -> None:
        super().__init__(segment_steps)
        self._space = space
        self._seed = seed
        self._settings = settings

    def next(self, here: SearchSituation) -> Expansion | None:
        eta, most = self._settings.eta, self._settings.most_segments
        highest = int(math.log(most, eta) + 1e-9)
        offset, bracket, begun = 0, highest, len(here.starts)
        while True:
            number = math.ceil((highest + 1) / (bracket + 1) * eta**bracket)
            first = max(1, most // eta**bracket)
            if begun < offset + number:
                why = f"bracket {bracket}: configuration {begun - offset + 1} of {number}, {first} segments at first"
                return here.root(why, drawn(self._space, "hyperband", self._seed, begun))
            root_runs = [root_run for root_run in here.starts[offset : offset + number] if root_run is not None]
            wish = self._halve(here, root_runs, first, bracket)
            if wish is not None:
                return wish
            offset, bracket = offset + number, bracket - 1 if bracket else highest

    def _halve(self, here: SearchSituation, root_runs: Sequence[Node], first: int, bracket: int) -> Expansion | None:
        """The next segment of a bracket; None when it is done or waits."""
        continuations = [here.lineage.continuation(root_run) for root_run in root_runs]
        for k in range(bracket + 1):
            rung = first * self._settings.eta**k
            for continuation in continuations:
                if len(continuation) < rung and here.open(continuation[-1]):
                    return here.keep(
                        continuation[-1], f"bracket {bracket}: #{continuation[0].id} continues to {rung} segments"
                    )
            if any(len(here.lineage.ended(c)) < min(rung, len(c)) for c in continuations):
                return None
            ended = [c for c in continuations if len(c) >= rung]
            ended.sort(key=lambda c: (-_value_at(c, rung), c[0].id))
            continuations = ended[: max(1, len(ended) // self._settings.eta)]
        return None


def _value_at(continuation: Sequence[Node], rung: int) -> float:
    last = continuation[rung - 1].last
    return last.score.value if last else -1.0


class TopK(Peer):
    """See the module."""

    def __init__(self, segment_steps: int, space: Space, seed: int, settings: TopKSettings) -> None:
        super().__init__(segment_steps)
        self._space = space
        self._seed = seed
        self._settings = settings

    def next(self, here: SearchSituation) -> Expansion | None:
        lineage, settings = here.lineage, self._settings
        wanted = max(1, round(settings.first_share * here.total / self._segment_steps))
        if (begun := len(here.starts)) < wanted:
            return here.root(f"configuration {begun + 1} of {wanted}", drawn(self._space, "topk", self._seed, begun))
        root_runs = [root_run for root_run in here.starts[:wanted] if root_run is not None]
        if any(root_run.state.in_flight for root_run in root_runs):
            return None
        best = sorted(root_runs, key=lambda n: (-value(n), n.id))[: settings.k]
        tips = [lineage.continuation(root_run) for root_run in best]
        able = [continuation for continuation in tips if here.open(continuation[-1])]
        if not able or any(continuation[-1].state.in_flight for continuation in tips):
            able = [continuation for continuation in able if len(continuation) <= min(map(len, tips))]
        if not able:
            return None
        continuation = min(able, key=lambda c: (len(c), c[0].id))
        return here.keep(
            continuation[-1], f"#{continuation[0].id} is among the best {len(best)} after its first segment"
        )
