"""Many configurations for one segment each, then the best k trained on in turn (arXiv 2307.15422)."""

from __future__ import annotations

from engine.domain.space import Space
from engine.run.strategies import TopKSettings
from engine.search.base import Expansion
from engine.search.peer import Peer, SearchSituation, drawn, value


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
