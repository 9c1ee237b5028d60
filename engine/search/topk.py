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
        lines, settings = here.lines, self._settings
        wanted = max(1, round(settings.first_share * here.total / self._segment_steps))
        if (begun := len(here.starts)) < wanted:
            return here.root(f"configuration {begun + 1} of {wanted}", drawn(self._space, "topk", self._seed, begun))
        lanes = [lane for lane in here.starts[:wanted] if lane is not None]
        if any(lane.state.in_flight for lane in lanes):
            return None
        best = sorted(lanes, key=lambda n: (-value(n), n.id))[: settings.k]
        tips = [lines.chain(lane) for lane in best]
        able = [chain for chain in tips if here.open(chain[-1])]
        if not able or any(chain[-1].state.in_flight for chain in tips):
            able = [chain for chain in able if len(chain) <= min(map(len, tips))]
        if not able:
            return None
        chain = min(able, key=lambda c: (len(c), c[0].id))
        return here.keep(chain[-1], f"#{chain[0].id} is among the best {len(best)} after its first segment")
