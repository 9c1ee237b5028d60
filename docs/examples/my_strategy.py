"""Two starts, the better one trained on: a whole search strategy."""

from engine.search.base import Expansion
from engine.search.peer import Peer, SearchSituation, value


class BetterOfTwo(Peer):
    """`Peer` repairs what fails, stops with the budget, and continues the best end when `next` has no wish."""

    def next(self, here: SearchSituation) -> Expansion | None:
        begun = len(here.starts)
        if begun < 2:
            return here.root(f"start {begun + 1} of 2", changes=None)  # None: the advisor chooses the settings
        ends = [here.lineage.continuation(start)[-1] for start in here.starts if start is not None]
        if not ends or any(end.state.in_flight for end in ends):
            return None  # wait for what trains
        best = max(ends, key=lambda end: (value(end), -end.id))
        return here.keep(best, f"#{best.id} leads with {value(best):.3f}")
